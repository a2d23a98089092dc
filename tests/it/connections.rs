//! Connections are opened while the function starts, not during an invocation: with TLS, each needs a handshake, which
//! takes most of a small function's first second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};

use crate::runtime::{Received, Sandbox, recent_orders};
use crate::world::{World, services};

/// A proxy of a service that counts the connections.
struct CountingProxy {
    url: String,
    opened: Arc<AtomicUsize>,
}

impl CountingProxy {
    async fn to(service_url: &str) -> CountingProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let opened = Arc::new(AtomicUsize::new(0));
        let (address, count) = (service_url.trim_start_matches("http://").to_owned(), opened.clone());
        tokio::spawn(async move {
            while let Ok((mut downstream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut upstream = TcpStream::connect(&address).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await });
            }
        });
        CountingProxy { url, opened }
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
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
    assert!(matches!(function.send_event(&recent_orders(20, 0)).await, Received::Response(_)));
    assert_eq!([dynamodb.opened(), s3.opened()], [1, 1], "after the first invocation");
    assert_eq!((world.rows().await.len(), world.appended().await.len()), (20, 20));
}
