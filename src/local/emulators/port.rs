//! Ports that are in use.

use std::io;

/// The error of a listener that couldn't be opened on a port of the loopback interface, which `option` chooses.
pub fn unavailable(error: io::Error, port: u16, option: &str) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {port} is in use; choose another with {option}, or 0 for a free one")
        }
        _ => anyhow::Error::new(error).context(format!("listen on 127.0.0.1:{port}")),
    }
}
