//! What is read of a billing system, for the fuzzer: its responses, and the file of its customers.

use super::customers::Customers;
use super::http::Response;

/// How a response is described in an error.
pub fn described(status: u16, body: &[u8]) -> String {
    Response { status, retry_after: None, body: String::from_utf8_lossy(body).into_owned() }.describe()
}

/// The customer of `entity` in a file of customers.
///
/// # Errors
/// If the file can't be read.
pub fn customer(file: &[u8], entity: &str) -> Result<Option<String>, String> {
    Customers::of_csv(file, "customers.csv").map(|customers| customers.of(entity)).map_err(|error| format!("{error:#}"))
}
