//! The floor: a client that only posts prepared bodies over kept-alive connections and reads the answers.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

type BoxError = Box<dyn std::error::Error>;

/// Posts the lines of `bodies` in turn over `connections` connections, on one thread, until `n` answers have arrived.
pub(crate) fn main(address: &str, bodies: &Path, n: u64, connections: u64) -> Result<(), BoxError> {
    let address: SocketAddr = address.parse()?;
    let bodies: Rc<[Bytes]> = std::fs::read_to_string(bodies)?.lines().map(|line| line.to_owned().into()).collect();
    let next = Rc::new(Cell::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut clients = JoinSet::new();
        for _ in 0..connections.min(n) {
            clients.spawn_local(client(address, Rc::clone(&bodies), Rc::clone(&next), n));
        }
        while let Some(client) = clients.join_next().await {
            client??;
        }
        Ok(())
    })
}

async fn client(address: SocketAddr, bodies: Rc<[Bytes]>, next: Rc<Cell<u64>>, n: u64) -> Result<(), io::Error> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::task::spawn_local(connection);
    while let Some(i) = Some(next.get()).filter(|i| *i < n) {
        next.set(i + 1);
        let body = bodies.get(i as usize % bodies.len().max(1)).cloned().unwrap_or_default();
        let request = Request::post("/v1/chat/completions")
            .header(HOST, address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(io::Error::other)?;
        sender.ready().await.map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        response.into_body().collect().await.map_err(io::Error::other)?;
        if !status.is_success() {
            return Err(io::Error::other(format!("the simulator returned status {status}")));
        }
    }
    Ok(())
}
