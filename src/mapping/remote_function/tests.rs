//! Every kind of response, from servers on real sockets.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A timeout that no test reaches.
const LONG: Duration = Duration::from_secs(900);

/// Responds as the event asks.
async fn respond(event: String) -> (StatusCode, HeaderMap, String) {
    let mut headers = HeaderMap::new();
    let mut status = StatusCode::OK;
    let body = match event.as_str() {
        "fail" => {
            headers.insert("x-amz-function-error", "Unhandled".parse().unwrap());
            "boom".to_owned()
        }
        "largest" => "x".repeat(MAXIMUM_RESPONSE_BYTES),
        "too large" => "x".repeat(MAXIMUM_RESPONSE_BYTES + 1),
        "hang" => std::future::pending().await,
        code if code.parse::<u16>().is_ok() => {
            status = code.parse::<u16>().unwrap().try_into().unwrap();
            "refused".to_owned()
        }
        _ => r#"{"batchItemFailures":[]}"#.to_owned(),
    };
    (status, headers, body)
}

/// Starts a server that speaks Lambda's Invoke API, and returns its URL.
async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/2015-03-31/functions/f/invocations", post(respond));
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    url
}

/// Starts a server that calls `act` with its first connection, and returns its URL.
async fn server_of_one<F: Future<Output = ()> + Send>(act: impl FnOnce(TcpStream) -> F + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { act(listener.accept().await.unwrap().0).await });
    url
}

fn function(url: &str, timeout: Duration) -> RemoteFunction {
    RemoteFunction::new("arn".to_owned(), url, "f", timeout).unwrap()
}

async fn invoke(url: &str, event: &[u8]) -> InvocationResult {
    function(url, LONG).invoke(event, "r").await
}

#[track_caller]
fn assert_function_error(result: &InvocationResult, expected: &str) {
    assert!(matches!(result, InvocationResult::FunctionError(message) if message.contains(expected)), "{result:?}");
}

#[tokio::test]
async fn a_body_is_returned_as_it_is() {
    assert_eq!(
        invoke(&server().await, b"{}").await,
        InvocationResult::Returned(br#"{"batchItemFailures":[]}"#.to_vec())
    );
}

#[tokio::test]
async fn the_function_error_header_makes_a_function_error() {
    assert_eq!(invoke(&server().await, b"fail").await, InvocationResult::FunctionError("boom".to_owned()));
}

#[tokio::test]
async fn throttles_missing_permissions_and_missing_functions_are_not_invoked() {
    let url = server().await;
    for status in ["429", "403", "404", "500", "503"] {
        let result = invoke(&url, status.as_bytes()).await;
        assert!(matches!(&result, InvocationResult::NotInvoked(why) if why.contains(status)), "{status}: {result:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_not_invoked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(invoke(&url, b"{}").await, InvocationResult::NotInvoked(_)));
}

#[tokio::test]
async fn a_timeout_is_a_function_error() {
    let url = server().await;
    let result = function(&url, Duration::from_millis(50)).invoke(b"hang", "r").await;
    assert_function_error(&result, "Task timed out after 0.05 seconds");
}

#[tokio::test]
async fn a_response_that_never_ends_is_a_timeout() {
    let url = server_of_one(|mut connection| async move {
        connection.read_u8().await.unwrap();
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{").await.unwrap();
        std::future::pending::<()>().await;
    });
    let result = function(&url.await, Duration::from_millis(50)).invoke(b"{}", "r").await;
    assert_function_error(&result, "Task timed out");
}

#[tokio::test]
async fn a_connection_that_is_reset_is_a_function_error() {
    // Closing a connection before all bytes are read resets it.
    let url = server_of_one(|mut connection| async move {
        connection.read_u8().await.unwrap();
    });
    assert_function_error(&invoke(&url.await, b"{}").await, "connection");
    let url = server_of_one(|mut connection| async move {
        connection.read_u8().await.unwrap();
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{").await.unwrap();
    });
    assert_function_error(&invoke(&url.await, b"{}").await, "connection");
}

#[tokio::test]
async fn a_response_over_6_mb_is_a_function_error() {
    let url = server().await;
    assert_eq!(invoke(&url, b"largest").await, InvocationResult::Returned(vec![b'x'; MAXIMUM_RESPONSE_BYTES]));
    assert_function_error(&invoke(&url, b"too large").await, "6 MB");
}

#[test]
fn text_that_is_not_a_url_is_refused() {
    assert!(RemoteFunction::new("arn".to_owned(), "not a url", "f", LONG).is_err());
}
