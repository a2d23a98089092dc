//! Keeps other pages away from the port of the page. A page of any site can make the browser send requests to this machine, so
//! every request must be addressed to this machine by its own name (against DNS rebinding), must not come from another
//! page, and must carry the token of this run if it changes anything through the page.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The header in which the page sends the token.
const TOKEN: HeaderName = HeaderName::from_static("x-usagectl-token");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a browser may do with the answers. Nothing is loaded from elsewhere, and nothing is inline.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Who may send requests.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    port: u16,
    token: String,
}

impl Guard {
    /// A guard of this port, with the token that requests of the page carry.
    pub(super) fn new(port: u16, token: String) -> Guard {
        Guard { port, token }
    }

    /// Refuses a request that another page may have caused.
    ///
    /// # Errors
    /// With the reason.
    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), &'static str> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let names = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", self.port));
        let host = text(header::HOST).unwrap_or_default();
        if !names.iter().any(|name| name == host) {
            return Err("the Host header doesn't name this machine and port");
        }
        if text(header::ORIGIN).is_some_and(|origin| origin != format!("http://{host}")) {
            return Err("the Origin header names another page");
        }
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        if text(FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
            return Err("the request comes from another page");
        }
        // Programs send no Origin, and find the port in the data folder.
        let is_program = text(header::ORIGIN).is_none() && !path.starts_with("/page/");
        if !is_program && text(TOKEN) != Some(&self.token) {
            return Err("the token of this run is missing: reload the page");
        }
        Ok(())
    }
}

/// Answers a request if `guard` accepts it, and sets the headers that restrict what a browser does with the answer.
pub(super) async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let refused = guard.check(request.method(), request.uri().path(), request.headers());
    let mut response = match refused {
        Ok(()) => next.run(request).await,
        Err(reason) => (StatusCode::FORBIDDEN, format!("refused: {reason}\n")).into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, path: &str, headers: &[(&'static str, &str)]) -> Result<(), &'static str> {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        Guard::new(8_080, "secret".to_owned()).check(&method, path, &headers.collect())
    }

    #[test]
    fn only_this_machine_is_a_host() {
        for host in ["127.0.0.1:8080", "localhost:8080"] {
            assert_eq!(check(Method::GET, "/", &[("host", host)]), Ok(()));
        }
        for host in ["evil.example:8080", "127.0.0.1:81", "127.0.0.1", "localhost.evil.example:8080", ""] {
            assert!(check(Method::GET, "/status", &[("host", host)]).is_err(), "{host}");
        }
        assert!(check(Method::GET, "/", &[]).is_err());
    }

    #[test]
    fn another_page_is_refused_even_with_the_token() {
        let from = |origin| [("host", "localhost:8080"), ("x-usagectl-token", "secret"), ("origin", origin)];
        assert_eq!(check(Method::POST, "/page/faults", &from("http://localhost:8080")), Ok(()));
        for origin in ["http://evil.example", "null", "https://localhost:8080", "http://127.0.0.1:8080"] {
            assert!(check(Method::POST, "/page/faults", &from(origin)).is_err(), "{origin}");
            assert!(check(Method::GET, "/page/events", &from(origin)).is_err(), "{origin}");
        }
        let site = |site| [("host", "localhost:8080"), ("x-usagectl-token", "secret"), ("sec-fetch-site", site)];
        assert!(check(Method::POST, "/stop", &site("cross-site")).is_err());
        assert_eq!(check(Method::GET, "/", &site("cross-site")), Ok(()), "a link to the page");
    }

    #[test]
    fn a_change_needs_the_token_unless_a_program_makes_it() {
        let host = ("host", "127.0.0.1:8080");
        assert!(check(Method::POST, "/page/faults", &[host]).is_err());
        assert!(check(Method::POST, "/page/faults", &[host, ("x-usagectl-token", "guess")]).is_err());
        assert_eq!(check(Method::POST, "/page/faults", &[host, ("x-usagectl-token", "secret")]), Ok(()));
        for (method, path) in [(Method::PUT, "/faults"), (Method::POST, "/stop")] {
            assert_eq!(check(method.clone(), path, &[host]), Ok(()));
            assert!(check(method, path, &[host, ("origin", "http://127.0.0.1:8080")]).is_err(), "{path}");
        }
    }
}
