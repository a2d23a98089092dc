//! Connections are opened while the function starts, not during an invocation: with TLS, each needs a handshake, which
//! takes most of a small function's first second.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::runtime::{Received, Sandbox, recent_orders};
use crate::world::{World, services};

/// A proxy of a service that counts the connections and keeps what is sent first on each.
struct CountingProxy {
    url: String,
    opened: Arc<AtomicUsize>,
    first: Arc<Mutex<Vec<String>>>,
}

impl CountingProxy {
    async fn to(service_url: &str) -> CountingProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let opened = Arc::new(AtomicUsize::new(0));
        let first = Arc::new(Mutex::new(Vec::new()));
        let (address, count, sent) =
            (service_url.trim_start_matches("http://").to_owned(), opened.clone(), first.clone());
        tokio::spawn(async move {
            while let Ok((mut downstream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut upstream = TcpStream::connect(&address).await.unwrap();
                let sent = sent.clone();
                tokio::spawn(async move {
                    let mut head = vec![0; 16_384];
                    let length = downstream.read(&mut head).await?;
                    sent.lock().unwrap().push(String::from_utf8_lossy(&head[..length]).to_lowercase());
                    upstream.write_all(&head[..length]).await?;
                    tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await
                });
            }
        });
        CountingProxy { url, opened, first }
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// The first request on the only connection.
    fn opening(&self) -> String {
        let first = self.first.lock().unwrap();
        let [request] = &first[..] else { panic!("one connection: {first:?}") };
        request.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_invocation_opens_no_connection() {
    let world = World::new("connections", "orders").await;
    let dynamodb = CountingProxy::to(services().dynamodb_url()).await;
    let s3 = CountingProxy::to(services().s3_url()).await;
    let variables = [
        ("PIPELINE", "orders"),
        ("USAGE_TABLE", "connections-usage"),
        ("LEDGER_TABLE", "connections-ledger"),
        ("ARCHIVE_BUCKET", &world.bucket()),
        ("ARCHIVE_PREFIX", "connections"),
        ("AWS_ENDPOINT_URL_DYNAMODB", &dynamodb.url),
        ("AWS_ENDPOINT_URL_S3", &s3.url),
    ];
    let mut function = Sandbox::start(&variables).await;
    assert!(matches!(function.receive().await, Received::Poll));
    assert_eq!([dynamodb.opened(), s3.opened()], [1, 1], "before the first poll");
    // Issue 16: HeadBucket and GetItem were denied at every cold start, because the role doesn't allow them.
    for (proxy, method) in [(&dynamodb, "get / "), (&s3, "options /")] {
        let request = proxy.opening();
        let is_unsigned = !request.contains("authorization") && !request.contains("x-amz-");
        assert!(request.starts_with(method) && is_unsigned, "{request}");
    }
    assert!(matches!(function.send_event(&recent_orders(20, 0)).await, Received::Response(_)));
    assert_eq!([dynamodb.opened(), s3.opened()], [1, 1], "after the first invocation");
    assert_eq!((world.rows().await.len(), world.appended().await.len()), (20, 20));
}
