//! `judge-run simulate` as a separate process.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::{Place, Running};

/// The process, on a free port; killed on drop.
pub(crate) struct SimulatorProcess {
    base_url: String,
    pub(crate) running: Running,
    _place: Place,
}

impl SimulatorProcess {
    pub(crate) fn start(args: &[&str]) -> Self {
        let place = Place::new();
        let running = place.command(["simulate", "--port", "0"].iter().chain(args)).start();
        let base_url = running.first_line();
        assert!(base_url.starts_with("http://127.0.0.1:") && base_url.ends_with("/v1"), "{base_url}");
        Self { base_url, running, _place: place }
    }

    pub(crate) fn base_url(&self) -> String {
        self.base_url.clone()
    }

    /// The answer of `GET /stats`.
    pub(crate) fn stats(&self) -> Value {
        let address = self.base_url.strip_prefix("http://").unwrap().strip_suffix("/v1").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /stats HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        serde_json::from_str(body).unwrap()
    }
}
