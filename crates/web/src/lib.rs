//! A small HTTP/1.1 server for what people open in a browser and applications post to: one handler, deadlines for slow clients, limits of sizes and
//! connections, and the checks of a request's origin that such a server needs. It knows nothing about what it serves.
//!
//! ```no_run
//! use judge_run_web::{Answer, Limits, Server};
//!
//! # async fn example() -> std::io::Result<()> {
//! let server = Server::bind("127.0.0.1:0".parse().unwrap(), Limits::default()).await?;
//! let hello = |request: judge_run_web::Request| async move { Answer::text(200, format!("{}\n", request.path)) };
//! server.serve(hello, std::future::pending()).await
//! # }
//! ```
#![deny(missing_docs)]

mod answer;
mod origin;
mod patient;
mod request;
mod server;
mod token;

pub use answer::Answer;
pub use hyper::{Method, StatusCode, header};
pub use origin::{Hosts, same_origin};
pub use request::{BodyError, Request};
pub use server::{Limits, Server};
pub use token::{Token, random_id};
