//! Removes the signature from a request. Any credentials are accepted, and no signature is verified: that would take the
//! client's secret key. A body in signed chunks is reassembled here, because s3s reads chunks only with that key.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use s3s::{Body as S3Body, HttpRequest};

/// The parameters of a URL that was signed in advance; those that change the response stay.
const OF_PRESIGNED_URLS: [&str; 9] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "AWSAccessKeyId",
    "Signature",
];
/// 5 GiB: S3's limit of one upload.
const MAX_BODY_BYTES: usize = 5 << 30;

/// Why a request is rejected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Its HTTP status.
    pub status: StatusCode,
    /// S3's name for the error.
    pub code: &'static str,
    /// What to do about it.
    pub message: String,
}

/// The request without its signature.
pub(super) async fn unsigned(request: Request) -> Result<HttpRequest, Refusal> {
    let (mut head, body) = request.into_parts();
    let signed_url = parameters(&head.uri).any(|(name, _)| matches!(name, "X-Amz-Signature" | "Signature"));
    if head.headers.remove(header::AUTHORIZATION).is_none() && !signed_url {
        let message = "the request isn't signed: configure any credentials".to_owned();
        return Err(Refusal { status: StatusCode::FORBIDDEN, code: "AccessDenied", message });
    }
    head.uri = without_signature(&head.uri);
    let hash = head.headers.remove("x-amz-content-sha256");
    if !hash.is_some_and(|hash| hash.as_bytes().starts_with(b"STREAMING-")) {
        return Ok(Request::from_parts(head, S3Body::http_body_unsync(body)));
    }
    let malformed = |what: &str| Refusal {
        status: StatusCode::BAD_REQUEST,
        code: "IncompleteBody",
        message: format!("the body isn't in aws-chunked encoding: {what}"),
    };
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|error| malformed(&error.to_string()))?;
    let chunked = Chunked::read(&body).ok_or_else(|| malformed("a chunk is cut short"))?;
    describe(&mut head.headers, &chunked);
    Ok(Request::from_parts(head, S3Body::from(chunked.body)))
}

/// A body in aws-chunked encoding.
#[derive(Debug, PartialEq, Eq)]
struct Chunked {
    body: Vec<u8>,
    /// What follows the last chunk, such as a checksum.
    trailers: Vec<(HeaderName, HeaderValue)>,
}

impl Chunked {
    /// Reads `SIZE[;chunk-signature=...]\r\nDATA\r\n` up to the chunk of size 0, then `NAME:VALUE` lines.
    fn read(mut text: &[u8]) -> Option<Chunked> {
        let mut body = Vec::new();
        loop {
            let line = std::str::from_utf8(line(&mut text)?).ok()?;
            let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(text.get(..size)?);
            text = text.get(size..)?.strip_prefix(b"\r\n")?;
        }
        let mut trailers = Vec::new();
        while let Some(line) = line(&mut text).filter(|line| !line.is_empty()) {
            let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
            trailers.push((name.trim().parse().ok()?, value.trim().parse().ok()?));
        }
        Some(Chunked { body, trailers })
    }
}

/// The URL of a request without its signature, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn unsigned_url(uri: &Uri) -> Uri {
    without_signature(uri)
}

/// The size of a body in aws-chunked encoding, if it is one, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn chunked_bytes(body: &[u8]) -> Option<usize> {
    Chunked::read(body).map(|chunked| chunked.body.len())
}

/// Removes the next line from `text`.
fn line<'t>(text: &mut &'t [u8]) -> Option<&'t [u8]> {
    let end = text.windows(2).position(|bytes| bytes == b"\r\n")?;
    let (line, rest) = (text.get(..end)?, text.get(end + 2..)?);
    *text = rest;
    Some(line)
}

/// Replaces the headers of a chunked body by those of a plain one.
fn describe(headers: &mut HeaderMap, chunked: &Chunked) {
    headers.remove("x-amz-decoded-content-length");
    headers.remove("x-amz-trailer");
    headers.remove(header::TRANSFER_ENCODING);
    headers.insert(header::CONTENT_LENGTH, chunked.body.len().into());
    for (name, value) in &chunked.trailers {
        if name.as_str().starts_with("x-amz-checksum-") {
            headers.insert(name, value.clone());
        }
    }
    let encodings = headers.get(header::CONTENT_ENCODING).and_then(|encoding| encoding.to_str().ok());
    let others: Vec<&str> =
        encodings.unwrap_or_default().split(',').map(str::trim).filter(|name| *name != "aws-chunked").collect();
    let others = HeaderValue::from_str(&others.join(",")).ok().filter(|value| !value.is_empty());
    match others {
        Some(others) => drop(headers.insert(header::CONTENT_ENCODING, others)),
        None => drop(headers.remove(header::CONTENT_ENCODING)),
    }
}

fn without_signature(uri: &Uri) -> Uri {
    let kept: Vec<&str> =
        parameters(uri).filter(|(name, _)| !OF_PRESIGNED_URLS.contains(name)).map(|(_, text)| text).collect();
    let path = if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), kept.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// The parameters of a URL: the name of each, and its whole text.
fn parameters(uri: &Uri) -> impl Iterator<Item = (&str, &str)> {
    let query = uri.query().unwrap_or_default();
    query.split('&').filter(|text| !text.is_empty()).map(|text| (text.split('=').next().unwrap_or(text), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_chunks_become_the_body_and_trailers_its_headers() {
        let text = b"4;chunk-signature=ab\r\nwiki\r\n5;chunk-signature=cd\r\npedia\r\n0;chunk-signature=ef\r\n\
                     x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:gh\r\n\r\n";
        let chunked = Chunked::read(text).unwrap();
        assert_eq!(chunked.body, b"wikipedia");
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, "aws-chunked,gzip".parse().unwrap());
        headers.insert("x-amz-trailer", "x-amz-checksum-crc32".parse().unwrap());
        describe(&mut headers, &chunked);
        assert_eq!(headers.len(), 3, "{headers:?}");
        assert_eq!((&headers["content-encoding"], &headers["content-length"]), (&"gzip".parse().unwrap(), &9.into()));
        assert_eq!(headers["x-amz-checksum-crc32"], "AAAAAA==");
    }

    #[test]
    fn a_truncated_body_is_an_error_and_truncated_trailers_are_not() {
        for text in [
            &b""[..],
            b"4",
            b"4\r\nwi",
            b"4\r\nwiki",
            b"4\r\nwikixx",
            b"4\r\nwiki\r\n",
            b"zz\r\n",
            b"0\r\nno colon\r\n",
        ] {
            assert_eq!(Chunked::read(text), None, "{}", String::from_utf8_lossy(text));
        }
        assert!(Chunked::read(b"0\r\n").unwrap().body.is_empty());
    }

    #[test]
    fn a_presigned_url_keeps_its_other_parameters() {
        let uri: Uri =
            "/lake/a%20b?versionId=3&X-Amz-Signature=ab&X-Amz-Expires=60&response-content-type=text".parse().unwrap();
        assert_eq!(without_signature(&uri), "/lake/a%20b?versionId=3&response-content-type=text");
        assert_eq!(without_signature(&"/lake?Signature=x".parse().unwrap()), "/lake");
    }
}
