//! Keeps web pages away from the services. They verify no signatures, and a page of any site can make the browser send requests to
//! this machine: to the port itself, with the page as their `Origin`, or to a name of the page's own that it lets DNS resolve to
//! this machine (DNS rebinding). Programs do neither.

use std::net::IpAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};

/// The names of this machine, its containers' among them. They can't be rebound.
const NAMES: [&str; 3] = ["localhost", "host.docker.internal", "host.containers.internal"];

/// Answers the requests of programs, and refuses those that a web page may have caused.
pub fn programs_only(service: Router) -> Router {
    service.layer(from_fn(guarded))
}

async fn guarded(request: Request, next: Next) -> Response {
    match check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(reason) => (StatusCode::FORBIDDEN, format!("refused: {reason}\n")).into_response(),
    }
}

/// Refuses a request that a web page may have caused.
///
/// # Errors
/// With the reason.
fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if headers.contains_key(header::ORIGIN) {
        return Err("the request has an Origin header, so a web page sent it");
    }
    // A browser adds it to what a page loads; `none` is an address that somebody typed.
    if text("sec-fetch-site").is_some_and(|site| site != "none") {
        return Err("the request has a Sec-Fetch-Site header, so a web page sent it");
    }
    // Browsers always name the host, so a request without one comes from a program.
    let host = text(header::HOST.as_str()).or_else(|| uri.authority().map(|authority| authority.as_str()));
    match host {
        Some(host) if !is_this_machine(host) => Err("the Host header is not a name of this machine"),
        _ => Ok(()),
    }
}

/// Whether `NAME[:PORT]` is an IP address, which DNS has no part in, or a name of this machine.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let name = name.to_ascii_lowercase();
    address.parse::<IpAddr>().is_ok() || NAMES.contains(&name.as_str()) || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::emulators::Services;

    #[test]
    fn only_names_that_cannot_be_rebound_are_this_machine() {
        let own = ["127.0.0.1:8000", "localhost", "LOCALHOST:9", "[::1]:8000", "archive.localhost:9000"];
        for host in own.into_iter().chain(["host.docker.internal:8000", "192.168.1.4:8000"]) {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example:8000", "evillocalhost", "", ":1"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn no_web_page_reaches_a_service_and_every_program_does() {
        let services = Services::start(None).unwrap();
        for url in [
            services.dynamodb_url(),
            services.s3_url(),
            services.cloudwatch_url(),
            services.kinesis_url(),
            services.eventbridge_url(),
        ] {
            let address = url.strip_prefix("http://").unwrap();
            let answer = |method: &str, path: &str, headers: &str| {
                let mut connection = TcpStream::connect(address).unwrap();
                let rest = "Authorization: any\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                connection.write_all(format!("{method} {path} HTTP/1.1\r\n{headers}{rest}").as_bytes()).unwrap();
                let mut answer = Vec::new();
                connection.read_to_end(&mut answer).unwrap();
                String::from_utf8_lossy(&answer).into_owned()
            };
            let own = format!("Host: {address}\r\n");
            assert!(!answer("POST", "/", &own).contains("refused: "), "{url}");
            let rebound = "Host: evil.example:8000\r\n".to_owned();
            let page = format!("{own}Origin: http://evil.example\r\n");
            let preflight = format!("{page}Access-Control-Request-Headers: x-amz-target\r\n");
            let loaded = format!("{own}Sec-Fetch-Site: cross-site\r\n");
            for (method, path, headers) in [
                ("POST", "/", &rebound),
                ("POST", "/", &page),
                // Needs no header that would make the browser ask first: S3's signature in the URL, CloudWatch's form.
                ("POST", "/archive?delete&X-Amz-Signature=any", &page),
                ("OPTIONS", "/", &preflight),
                ("GET", "/", &loaded),
            ] {
                let answer = answer(method, path, headers);
                assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("refused: "), "{url}: {answer}");
                assert!(!answer.to_ascii_lowercase().contains("access-control-allow-origin"), "{url}: {answer}");
            }
        }
    }
}
