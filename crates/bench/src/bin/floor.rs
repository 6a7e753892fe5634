//! The least that any program can do, to hold the others against: `floor http` reads a body with hyper and answers 200;
//! `floor acknowledged` also publishes the body as it came, to JetStream, and waits for the acknowledgement. Neither
//! looks into the body.

#![allow(clippy::print_stdout, reason = "the ready line on standard output tells the runner the port")]

use std::convert::Infallible;
use std::error::Error;

use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

const SUBJECT: &str = "ci.task.NoiseReduction.success";

fn main() -> Result<(), Box<dyn Error>> {
    let acknowledged = std::env::args().nth(1).as_deref() == Some("acknowledged");
    runtime()?.block_on(serve(acknowledged))
}

/// On one core, several threads would only pass work to each other.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match cores {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

async fn serve(acknowledged: bool) -> Result<(), Box<dyn Error>> {
    let bus = if acknowledged {
        Some(jetstream::new(async_nats::connect(std::env::var("NATS_URL")?).await?))
    } else {
        None
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready on http://{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let bus = bus.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, bus.as_ref()));
            let mut http = http1::Builder::new();
            // A caller that hangs up ends its connection, and nothing else.
            let _ = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    bus: Option<&Context>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let outcome = receive(request, bus).await;
    let mut response =
        Response::new(Full::from(outcome.as_ref().map_or_else(ToString::to_string, |()| "ok\n".to_owned())));
    if outcome.is_err() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}

async fn receive(
    request: Request<Incoming>,
    bus: Option<&Context>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let body = request.into_body().collect().await?.to_bytes();
    if let Some(bus) = bus {
        bus.publish(SUBJECT, body).await?.await?;
    }
    Ok(())
}
