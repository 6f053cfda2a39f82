//! Requests.

use bytes::Bytes;
use hyper::header::{COOKIE, HeaderName};
use hyper::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

/// A request, its body read as far as it may be.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// As it was sent, percent-encoded.
    pub path: String,
    /// What follows the question mark, as it was sent.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Result<Bytes, BodyError>,
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than [`Limits::max_body`](crate::Limits).
    TooLong,
    /// It did not come in time.
    TooSlow,
    /// The connection ended within it.
    Broken,
}

impl Request {
    /// The parts of the path, decoded; `None` where one is not UTF-8. A decoded part may hold anything, also a slash: it never names a file.
    pub fn segments(&self) -> Option<Vec<String>> {
        let parts = self.path.trim_start_matches('/').split('/');
        parts.map(|part| percent_decode_str(part).decode_utf8().ok().map(Into::into)).collect()
    }

    /// A header as text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let value = self.query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1;
        let value = value.replace('+', " ");
        percent_decode_str(&value).decode_utf8().ok().map(Into::into)
    }

    /// The cookie of this name.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, query: &str) -> Request {
        let headers = [("cookie", "a=1; session=x=y"), ("cookie", "late=2")];
        Request {
            method: Method::GET,
            path: path.into(),
            query: query.into(),
            headers: headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
            body: Ok(Bytes::new()),
        }
    }

    #[test]
    fn parts_are_decoded_once_and_one_by_one() {
        let segments = |path: &str| request(path, "").segments();
        assert_eq!(segments("/a/b%2Fc/%2E%2E/%2525").unwrap(), ["a", "b/c", "..", "%25"]);
        assert_eq!(segments("/").unwrap(), [""]);
        assert_eq!(segments("/%ff"), None);
    }

    #[test]
    fn parameters_and_cookies_are_found_by_name() {
        let request = request("/", "id=tr%20%C3%A9+x&token=t&empty=");
        assert_eq!(request.parameter("id").as_deref(), Some("tr é x"));
        assert_eq!((request.parameter("empty").as_deref(), request.parameter("no")), (Some(""), None));
        assert_eq!(
            (request.cookie("session"), request.cookie("late"), request.cookie("b")),
            (Some("x=y"), Some("2"), None)
        );
    }
}
