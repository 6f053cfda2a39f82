//! The server: where it listens, its routes, how it stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, Response, StatusCode, Uri};
use axum::routing::{get, post};
use serde_json::json;
use tokio::net::TcpListener;

use super::chat::{Shared, complete};
use super::connection::{Accepting, Hangup};
use super::dialect::Dialect;
use super::error::{ApiError, json as json_answer};
use super::fault::FaultPlan;

/// How the simulated endpoint behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatorConfig {
    /// The mean time to an answer. Requests over a limit are refused at once.
    pub latency: Duration,
    /// Whether a request takes 0.5 to 1.5 times as long; otherwise all take the same time.
    pub jitter: bool,
    /// Requests per minute; 0 counts as 1.
    pub rpm: Option<u32>,
    /// Tokens per minute; 0 counts as 1. A request takes its prompt and all the output that it allows.
    pub tpm: Option<u64>,
    /// How much of the quota may be spent at once, as the time in which it flows in; at least one request.
    pub burst: Duration,
    /// Whether tokens that a request took and did not use are given back when it is answered.
    pub refund: bool,
    /// How the quota is told.
    pub dialect: Dialect,
    /// The most tokens of a prompt that are read and reported; the rest is silently cut off, as Ollama does it.
    pub context: Option<u64>,
    /// What goes wrong.
    pub faults: FaultPlan,
    /// The model that `GET /v1/models` lists. Chat requests are answered whatever model they name.
    pub model: String,
}

impl Default for SimulatorConfig {
    /// 20 ms with jitter, no limits, bursts of one second, no refunds, OpenAI's headers, no faults.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(20),
            jitter: true,
            rpm: None,
            tpm: None,
            burst: Duration::from_secs(1),
            refund: false,
            dialect: Dialect::default(),
            context: None,
            faults: FaultPlan::default(),
            model: "simulated".to_owned(),
        }
    }
}

/// The largest body that is taken, in bytes: 32 MB, as at real providers.
const MAX_BODY: usize = 32 << 20;

/// A simulated endpoint that listens, but does not answer before [`Simulator::serve`].
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    local_addr: SocketAddr,
    pub(super) shared: Arc<Shared>,
}

impl Simulator {
    /// Listens on `addr`; port 0 takes a free one. There is no authentication: bind to a loopback address.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(addr: SocketAddr, config: SimulatorConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        Ok(Self { local_addr: listener.local_addr()?, listener, shared: Arc::new(Shared::new(config)) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The base URL for clients, such as `http://127.0.0.1:8080/v1`.
    pub fn base_url(&self) -> String {
        base_url(self.local_addr)
    }

    /// Answers until `shutdown` completes and the requests in flight are answered. Those that hang are let go.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let service = routes(Arc::clone(&self.shared)).into_make_service_with_connect_info::<Hangup>();
        let shutdown = async move {
            shutdown.await;
            self.shared.stopping.send_replace(true);
        };
        axum::serve(Accepting(self.listener), service).with_graceful_shutdown(shutdown).await
    }
}

pub(super) fn base_url(address: SocketAddr) -> String {
    format!("http://{address}/v1")
}

fn routes(shared: Arc<Shared>) -> Router {
    let api = Router::new().route("/chat/completions", post(complete)).route("/models", get(models));
    let own = Router::new()
        .route("/health", get(async || json_answer(StatusCode::OK, &json!({"status": "ok"}))))
        .route("/stats", get(stats));
    let api = api.merge(own);
    Router::new()
        .nest("/v1", api.clone())
        .merge(api)
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
}

async fn models(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let model = json!({"id": shared.config.model, "object": "model", "created": 0, "owned_by": "judge-run"});
    json_answer(StatusCode::OK, &json!({"object": "list", "data": [model]}))
}

async fn stats(State(shared): State<Arc<Shared>>) -> Response<Body> {
    json_answer(StatusCode::OK, &shared.counters.stats())
}

async fn not_found(method: Method, uri: Uri) -> Response<Body> {
    ApiError::invalid(format!("Invalid URL ({method} {})", uri.path())).status(StatusCode::NOT_FOUND).response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response<Body> {
    ApiError::invalid(format!("Not allowed to {method} on {}.", uri.path()))
        .status(StatusCode::METHOD_NOT_ALLOWED)
        .code("method_not_supported")
        .response()
}
