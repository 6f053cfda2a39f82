//! From what an endpoint did to a [`Failure`](super::Failure): a table of rules for responses, a walk down the chain of
//! causes for everything below HTTP.

mod rejected;
mod response;
mod room;
mod rules;
mod transport;

pub use response::classify_response;
pub(crate) use response::request_id_header;
pub use transport::classify_transport;
