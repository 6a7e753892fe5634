//! Waits for the job whose id is the argument, and prints what became of it:
//! `cargo run -p ci-bridge-publisher --example wait JOB`.
#![allow(clippy::print_stdout, reason = "an example shows what it receives")]

use std::time::Duration;

use async_nats::Request;
use ci_bridge_schema::TaskEvent;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let job = std::env::args().nth(1).ok_or("which job? give its id")?;
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned());
    let client = async_nats::connect(url).await?;
    // The body says how long the bridge keeps the request; the timeout is a little longer.
    let request = Request::new().payload("30m".into()).timeout(Some(Duration::from_secs(31 * 60)));
    let message = client.send_request(format!("ci.await.{job}"), request).await?;
    let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str().to_owned());
    if let Some(why) = header("Nats-Service-Error") {
        return Err(why.into());
    }
    let ended: TaskEvent = serde_json::from_slice(&message.payload)?;
    println!("{} {}", ended.state.as_deref().unwrap_or("_"), header("ce-subject").unwrap_or_default());
    Ok(())
}
