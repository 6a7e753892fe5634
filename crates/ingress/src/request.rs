//! From a request to its answer: which endpoint, may it, its body, and then the story.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::debug;

use crate::answer::Answer;
use crate::auth;
use crate::body;
use crate::budget::Share;
use crate::callback::Ingress;
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::framing;
use crate::place::InProgress;
use crate::trace::Traceparent;

impl Ingress {
    /// Answers one request. `begun` notes that it is in progress, unless its connection is being closed for another;
    /// `permit` is its place among all in flight, if there was one. Not async: what the head decides is decided at
    /// once, so that no future has to carry the head.
    pub(crate) fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        begun: Option<InProgress>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = Result<Response<Full<bytes::Bytes>>, Infallible>> + Send + use<> {
        let headers = request.headers();
        // Where a chunked body ends two readers may disagree, so nothing after it is taken for a request.
        let is_last = headers.contains_key(header::TRANSFER_ENCODING);
        let waits_for_leave = headers.contains_key(header::EXPECT);
        let trace = Traceparent::read(headers);
        let admitted = permit.is_some().then(|| self.admit(&request, peer));
        let body = request.into_body();
        async move {
            let Some(_in_progress) = begun else {
                return std::future::pending().await;
            };
            let _held_until_answered = permit;
            let received = self.metrics.received();
            let answer = match admitted {
                Some(Ok(endpoint)) => self.take(endpoint, body, trace, waits_for_leave).await,
                Some(Err(answer)) => refuse(answer, body, waits_for_leave).await,
                None => Answer::Overloaded("requests in flight (max_in_flight)"),
            };
            if let Some(reason) = answer.rejection() {
                debug!(%peer, reason, "request rejected");
                self.metrics.rejected(reason);
            }
            received.answered(answer.outcome());
            let mut response = answer.into_response();
            if is_last || self.is_closing() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    }

    /// Reads the body, and tells the story.
    async fn take(
        self: &Arc<Self>,
        endpoint: Arc<Endpoint>,
        body: Incoming,
        trace: Option<Traceparent>,
        waits_for_leave: bool,
    ) -> Answer {
        let limits = &self.limits;
        let mut share = Share::new(self.metrics.bytes_in_flight.clone(), limits.max_bytes_in_flight);
        let limit =
            body::Limit { bytes: limits.max_body, trailers: limits.max_headers, within: limits.body_timeout };
        let body = match body::read(body, limit, &mut share, waits_for_leave).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let failed = |_| Answer::Unavailable("an internal error; the log has more".to_owned());
        Arc::clone(self).spawn(endpoint, body, trace, share).await.unwrap_or_else(failed)
    }

    /// Tells the story in a task of its own: a sender that hangs up must not end a publish halfway. Not async, so
    /// that connections, which have most of the futures, are not as large as the story.
    fn spawn(
        self: Arc<Self>,
        endpoint: Arc<Endpoint>,
        body: bytes::Bytes,
        trace: Option<Traceparent>,
        share: Share,
    ) -> JoinHandle<Answer> {
        // Boxed, because spawning moves what it is given several times.
        tokio::spawn(Box::pin(async move {
            let _held_until_answered = share;
            let late = |_| Answer::Unavailable("no answer from NATS within the deadline".to_owned());
            // Where it stands: a timeout would move it, and it is large.
            let story = pin!(self.receive(&endpoint, body, trace));
            timeout(self.limits.deadline, story).await.unwrap_or_else(late)
        }))
    }

    /// The endpoint that takes the request, decided from its head alone.
    fn admit(&self, request: &Request<Incoming>, peer: IpAddr) -> Result<Arc<Endpoint>, Answer> {
        // In HTTP/2 nothing else counts them.
        if request.headers().len() > self.limits.max_headers {
            return Err(Answer::Malformed(Fault::TooManyHeaders));
        }
        if let Some(fault) = framing::marked(request) {
            return Err(Answer::Malformed(fault));
        }
        let uri = request.uri();
        let endpoints = self.endpoints();
        let matching = endpoints.iter().filter_map(|e| Some((e, e.token_in(uri.path())?)));
        // Of `/ci` with a token and `/ci/callback`, the path itself is meant.
        let longest = matching.max_by_key(|(endpoint, _)| endpoint.path.len());
        let (endpoint, token) = longest.ok_or(Answer::NoSuchPath)?;
        if request.method() != Method::POST {
            return Err(Answer::MethodNotAllowed);
        }
        let headers = request.headers();
        if !endpoint.allow_from.allows(peer, headers) {
            return Err(Answer::AddressNotAllowed);
        }
        if !endpoint.secrets.is_empty() {
            let presented = auth::presented(token, uri.query(), headers);
            if presented.is_empty() {
                return Err(Answer::Unauthenticated(
                    "a token is needed: as the last path segment, ?token=, Authorization: Bearer or basic password",
                ));
            }
            if !endpoint.secrets.accept(&presented) {
                return Err(Answer::Unauthenticated("the token is not one of this endpoint's"));
            }
        }
        match content_coding(headers) {
            Some(coding) => Err(Answer::ContentCoding(coding)),
            None => Ok(Arc::clone(endpoint)),
        }
    }
}

/// Gives an answer that the head alone has decided.
async fn refuse(answer: Answer, mut body: Incoming, waits_for_leave: bool) -> Answer {
    if !waits_for_leave {
        body::linger(&mut body).await;
    }
    answer
}

/// The first content coding other than none.
fn content_coding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings = values.flat_map(|value| value.to_str().unwrap_or("?").split(',')).map(str::trim);
    let mut other = codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    other.next().map(str::to_owned)
}
