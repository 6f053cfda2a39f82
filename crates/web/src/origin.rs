//! Where a request comes from: the host it addresses, and the page that made it.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HOST, HeaderName, ORIGIN};

use crate::Request;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names by which a server may be addressed. A page of another site can make a browser send requests to this machine under that site's name (DNS
/// rebinding); such a request has the site's name as its host.
#[derive(Debug, Clone)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Those of a listening address, and further ones, with or without a port.
    pub fn of(address: SocketAddr, further: &[String]) -> Self {
        let port = address.port();
        let mut names: Vec<String> = further.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.extend(further.iter().map(|name| format!("{}:{port}", name.to_ascii_lowercase())));
        names.push(address.to_string());
        if address.ip().is_loopback() {
            names.extend(["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}")));
        }
        // The port of plain HTTP is not said.
        if port == 80 {
            let without: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(":80").map(str::to_owned)).collect();
            names.extend(without);
        }
        Self(names)
    }

    /// Whether a request is for one of them. One that listens on all addresses of the machine is also addressed by each of these.
    pub fn allow(&self, request: &Request, listening: IpAddr) -> bool {
        let Some(host) = request.header(&HOST).map(str::to_ascii_lowercase) else { return false };
        // A number is not a name that could lead elsewhere.
        let is_number = || host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok();
        self.0.contains(&host) || (listening.is_unspecified() && is_number())
    }
}

/// Whether a request was made by a page of this very server, as far as the browser says. Programs that are not browsers say nothing, and are not affected:
/// they have no cookies that a foreign page could use.
pub fn same_origin(request: &Request) -> bool {
    let site = request.header(&FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
    let host = request.header(&HOST).unwrap_or_default();
    let origin = request.header(&ORIGIN).is_none_or(|origin| {
        origin.split_once("://").is_some_and(|(scheme, at)| matches!(scheme, "http" | "https") && at == host)
    });
    site && origin
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::Method;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request {
        Request {
            method: Method::POST,
            path: "/".into(),
            query: String::new(),
            headers: headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
            body: Ok(Bytes::new()),
        }
    }

    #[test]
    fn another_sites_name_is_refused() {
        let local: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        let allowed = |address: SocketAddr, host| {
            Hosts::of(address, &["review.example".into()]).allow(&request(&[("host", host)]), address.ip())
        };
        for host in [
            "127.0.0.1:4000",
            "localhost:4000",
            "LOCALHOST:4000",
            "[::1]:4000",
            "review.example",
            "review.example:4000",
        ] {
            assert!(allowed(local, host), "{host}");
        }
        for host in ["attacker.example:4000", "127.0.0.1:4001", "127.0.0.1.attacker.example:4000", "localhost", ""] {
            assert!(!allowed(local, host), "{host}");
        }
        let all: SocketAddr = "0.0.0.0:4000".parse().unwrap();
        assert!(allowed(all, "192.168.1.5:4000") && !allowed(all, "attacker.example:4000"));
        assert!(!Hosts::of(local, &[]).allow(&request(&[]), local.ip()));
    }

    #[test]
    fn another_sites_page_is_told_apart() {
        let host = ("host", "127.0.0.1:4000");
        let from = |headers: &[(&str, &str)]| same_origin(&request(&[&[host], headers].concat()));
        assert!(
            from(&[]) && from(&[("origin", "http://127.0.0.1:4000")]) && from(&[("sec-fetch-site", "same-origin")])
        );
        for origin in [
            "http://127.0.0.1:4001",
            "http://localhost:4000",
            "null",
            "https://attacker.example",
            "file://127.0.0.1:4000",
        ] {
            assert!(!from(&[("origin", origin)]), "{origin}");
        }
        assert!(!from(&[("sec-fetch-site", "cross-site")]) && !from(&[("sec-fetch-site", "same-site")]));
    }
}
