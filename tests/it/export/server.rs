//! An HTTP server on this machine that records requests and answers as a test wants, or loses the connection.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// What the server does after it has received a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status, more headers, and a body.
    Status(u16, &'static str, String),
    /// Closes the connection without a response.
    Lost,
}

impl Reply {
    /// A response without more headers.
    pub fn status(status: u16, body: &str) -> Reply {
        Reply::Status(status, "", body.to_owned())
    }
}

/// The server. It runs until the test process ends.
pub struct Server {
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Starts a server on a free port. `answer` gets each request, and how many there were before.
    pub fn start(answer: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (all, answer) = (Arc::clone(&received), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (all, answer, stream) = (Arc::clone(&all), Arc::clone(&answer), stream.unwrap());
                std::thread::spawn(move || serve(stream, &all, &*answer));
            }
        });
        Server { url, received }
    }

    /// The requests since the last call.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.received.lock().unwrap())
    }
}

/// Serves one request of a connection.
fn serve(
    mut stream: TcpStream,
    all: &Mutex<Vec<Received>>,
    answer: &(dyn Fn(&Received, usize) -> Reply + Send + Sync),
) {
    let Some(request) = read(&stream) else { return };
    let reply = {
        let mut all = all.lock().unwrap();
        all.push(request.clone());
        answer(&request, all.len() - 1)
    };
    if let Reply::Status(status, headers, body) = reply {
        let head =
            format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
        // The client may be gone.
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    }
}

/// Reads a request; `None` if the connection ends before it does.
fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0).map(|_| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = HashMap::new();
    while let Some(line) = line().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut words = first.split(' ').map(str::to_owned);
    let mut body = vec![0; headers.get("content-length").map_or(0, |length: &String| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Received { method: words.next()?, path: words.next()?, headers, body: String::from_utf8(body).unwrap() })
}
