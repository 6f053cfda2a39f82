//! MLflow: traces from a server, feedback to it.

mod pull;
mod push;
mod server;
