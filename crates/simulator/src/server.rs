//! The server: where it listens, its routes, how it stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, Uri};
use axum::middleware::map_response;
use axum::routing::{get, post};
use serde_json::json;
use tokio::net::TcpListener;

use super::batch;
use super::chat::{Shared, complete};
use super::config::SimulatorConfig;
use super::connection::{Accepting, Hangup};
use super::error::{ApiError, json as json_answer};

/// The largest body that is taken, in bytes: 32 MB, as at real providers.
const MAX_BODY: usize = 32 << 20;

/// Every answer has this header, so that no client takes a simulated verdict for a model's. Completions say the same in
/// `system_fingerprint`, which a proxy passes on.
const MARK: &str = "x-judge-run-simulator";

/// A simulated endpoint that listens, but does not answer before [`Simulator::serve`].
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    local_addr: SocketAddr,
    pub(super) shared: Arc<Shared>,
}

impl Simulator {
    /// Listens on `addr`; port 0 picks a free one. There is no authentication: bind to a loopback address.
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
    let api = api.merge(batch::routes()).merge(own);
    Router::new()
        .nest("/v1", api.clone())
        .merge(api)
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(map_response(async |mut response: Response<Body>| {
            response.headers_mut().insert(MARK, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
            response
        }))
        .with_state(shared)
}

async fn models(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let model = json!({"id": shared.config.model, "object": "model", "created": 0, "owned_by": "judge-run"});
    json_answer(StatusCode::OK, &json!({"object": "list", "data": [model]}))
}

async fn stats(State(shared): State<Arc<Shared>>) -> Response<Body> {
    json_answer(StatusCode::OK, &shared.stats())
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
