//! A small HTTP client, for `send` and `demo`: one request, one connection.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The bridge answers within its deadline, 3 s unless configured otherwise.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer of the bridge.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// Posts a body as the vendor does, with the content type that it sends over XML and JSON alike.
pub(super) async fn post(url: &str, token: Option<&str>, body: Bytes) -> io::Result<Answered> {
    let uri: Uri = url.parse().map_err(|e| invalid(format!("{url:?} is no URL: {e}")))?;
    if uri.scheme_str() != Some("http") {
        return Err(invalid(format!("{url:?}: only http:// can be sent to")));
    }
    let authority = uri.authority().ok_or_else(|| invalid(format!("{url:?} has no host")))?.clone();
    let address = (authority.host().trim_matches(['[', ']']).to_owned(), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await.map_err(|e| {
        io::Error::new(e.kind(), format!("cannot connect to {authority}: {e}; is `ci-bridge serve` running?"))
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let mut request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, authority.as_str())
        .header(header::USER_AGENT, "Go-http-client/1.1")
        .header(header::CONTENT_TYPE, "application/xml");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Full::new(body)).map_err(io::Error::other)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Answered { status, body })
    };
    let answered = timeout(ANSWER_TIMEOUT, exchange).await;
    connection.abort();
    answered.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 30 s")))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
