//! A simulator on its own thread.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::{future, io, thread};

use tokio::runtime;
use tokio::sync::oneshot;

use super::chat::Shared;
use super::config::SimulatorConfig;
use super::server::{Simulator, base_url};
use super::stats::Stats;

/// A simulated endpoint that runs in the background, until it is dropped.
#[derive(Debug)]
pub struct BackgroundSimulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Simulator {
    /// Starts a simulator on its own thread, on a free port of 127.0.0.1. It answers when this returns. May be
    /// called inside and outside of an async runtime.
    ///
    /// # Errors
    /// When no thread, runtime or port is available.
    pub fn spawn(config: SimulatorConfig) -> io::Result<BackgroundSimulator> {
        let (stop, stopped) = oneshot::channel();
        let (started, start) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("simulator".to_owned()).spawn(move || {
            let bound = runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                runtime.block_on(Self::bind(address, config)).map(|simulator| (runtime, simulator))
            });
            match bound {
                Ok((runtime, simulator)) => {
                    _ = started.send(Ok((simulator.local_addr(), Arc::clone(&simulator.shared))));
                    // No one waits for answers once it is dropped: requests in flight end with the runtime.
                    runtime.block_on(async {
                        tokio::select! {
                            _ = simulator.serve(future::pending()) => {}
                            _ = stopped => {}
                        }
                    });
                }
                Err(error) => _ = started.send(Err(error)),
            }
        })?;
        let (address, shared) = start.recv().map_err(io::Error::other)??;
        Ok(BackgroundSimulator { address, shared, running: Some((stop, thread)) })
    }
}

impl BackgroundSimulator {
    /// The base URL for clients, such as `http://127.0.0.1:8080/v1`.
    pub fn base_url(&self) -> String {
        base_url(self.address)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen and done so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }
}

impl Drop for BackgroundSimulator {
    /// Stops it, drops what is in flight, and waits for the thread.
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            _ = stop.send(());
            _ = thread.join();
        }
    }
}
