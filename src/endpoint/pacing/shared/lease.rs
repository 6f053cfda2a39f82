//! A process's request to the server, and the answer.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};

use super::server::{QuotaServer, TIMEOUT};

/// The server keeps it compiled; sending it each time avoids a second path for a server that does not have it yet.
const SCRIPT: &str = include_str!("lease.lua");

/// The request to one of the two quotas.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Amount {
    pub n: u64,
    /// The time of one, in seconds.
    pub period: f64,
    /// What may be spent at once.
    pub burst: Duration,
}

/// What a process asks.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ask {
    /// The pause that the endpoint asked it for.
    pub pause: Duration,
    /// It has sent without asking.
    pub was_away: bool,
    pub requests: Option<Amount>,
    pub tokens: Option<Amount>,
}

/// The server's answer: microseconds from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub first_request: i64,
    pub first_token: i64,
    pub paused: Duration,
    /// How many processes share the quota.
    pub processes: u32,
}

/// The keys of one quota, and the process that asks.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub process: String,
    /// The part between braces decides the slot in a cluster: both keys are in one.
    pub quota: String,
}

/// A connection that is made when needed, and again after it broke.
pub(super) struct Leases {
    client: Client,
    connection: Option<MultiplexedConnection>,
    names: Names,
}

impl Leases {
    pub(super) fn new(server: &QuotaServer, names: Names) -> Result<Self, RedisError> {
        Ok(Self { client: server.client()?, connection: None, names })
    }

    pub(super) async fn ask(&mut self, ask: &Ask) -> Result<Lease, RedisError> {
        let leased = self.try_ask(ask).await;
        if leased.is_err() {
            self.connection = None;
        }
        leased
    }

    async fn try_ask(&mut self, ask: &Ask) -> Result<Lease, RedisError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(TIMEOUT))
                    .set_response_timeout(Some(TIMEOUT));
                none.insert(self.client.get_multiplexed_async_connection_with_config(&config).await?)
            }
        };
        let Names { process, quota } = &self.names;
        let mut call = redis::cmd("EVAL");
        call.arg(SCRIPT)
            .arg(2)
            .arg(quota)
            .arg(format!("{quota}:processes"))
            .arg(process)
            .arg(micros(ask.pause))
            .arg(u8::from(ask.was_away));
        for amount in [ask.requests, ask.tokens].map(Option::unwrap_or_default) {
            call.arg(amount.n).arg(amount.period * 1e6).arg(micros(amount.burst));
        }
        let (first_request, first_token, paused, processes): (i64, i64, u64, u32) =
            call.query_async(connection).await?;
        Ok(Lease { first_request, first_token, paused: Duration::from_micros(paused), processes })
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
