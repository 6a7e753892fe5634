//! A client of a running bridge's `/api/v1`, found by the configuration that both have.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{healthcheck, or_say};
use crate::config::{Config, tokens_in};

/// The bridge looks through its whole spool for some of what it is asked.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A page ends with the body that makes it larger than 8 MiB; base64 and JSON make more of it.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// A bridge that runs.
pub(super) struct AdminApi {
    address: SocketAddr,
    token: Option<String>,
}

impl AdminApi {
    pub(super) fn of(config: &Config) -> io::Result<Self> {
        let address = healthcheck::reachable(config.admin.listen).map_err(io::Error::other)?;
        let explain = |what| io::Error::new(io::ErrorKind::InvalidInput, format!("admin.token_file: {what}"));
        let token = tokens_in(&config.admin.token_file).map_err(explain)?.into_iter().next();
        Ok(Self { address, token })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `None` when there is no such thing.
    pub(super) async fn get(&self, path: &str) -> io::Result<Option<Value>> {
        self.ask(Method::GET, path).await
    }

    /// `None` when there is no such thing.
    pub(super) async fn delete(&self, path: &str) -> io::Result<Option<Value>> {
        self.ask(Method::DELETE, path).await
    }

    async fn ask(&self, method: Method, path: &str) -> io::Result<Option<Value>> {
        let explain = |e: io::Error| {
            let why = format!("the bridge at {} (admin.listen) does not answer: {e}", self.address);
            io::Error::new(e.kind(), why)
        };
        let too_late = |_| io::Error::new(io::ErrorKind::TimedOut, "it takes longer than a minute");
        let exchange = timeout(ANSWER_TIMEOUT, self.exchange(method, path));
        let waiting = || format!("waiting for the bridge at {} (admin.listen)", self.address);
        let exchange = or_say(exchange, waiting).await.map_err(too_late);
        let (status, body) = exchange.and_then(|answered| answered).map_err(explain)?;
        let body: Option<Value> = serde_json::from_slice(&body).ok();
        match (status, body) {
            (StatusCode::OK, Some(body)) => Ok(Some(body)),
            // Another program's has no such sentence.
            (StatusCode::NOT_FOUND, Some(problem)) if problem["detail"].is_string() => Ok(None),
            (_, Some(Value::Object(problem))) if problem.contains_key("detail") => {
                let detail = problem["detail"].as_str().unwrap_or_default();
                Err(io::Error::other(format!(
                    "the bridge at {} answers {}: {detail}",
                    self.address,
                    status.as_u16()
                )))
            }
            _ => Err(io::Error::other(format!(
                "what listens at {} (admin.listen) answers {} and is no ci-bridge that knows {path}",
                self.address,
                status.as_u16()
            ))),
        }
    }

    async fn exchange(&self, method: Method, path: &str) -> io::Result<(StatusCode, Bytes)> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // It ends with `sender`, or with an error that the exchange gets as well.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header(header::HOST, self.address.to_string())
            .header(header::USER_AGENT, concat!("ci-bridge/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(io::Error::other)?.to_bytes()))
    }
}
