//! A microservice that handles finished noise reductions: `cargo run -p ci-bridge-publisher --example subscribe`.
#![allow(clippy::print_stdout, reason = "an example shows what it receives")]

use async_nats::jetstream::{self, consumer::pull};
use ci_bridge_schema::TaskEvent;
use futures_util::TryStreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned());
    let stream = jetstream::new(async_nats::connect(url).await?).get_stream("CI").await?;
    // The durable name is the service's own: its instances share the messages, and a restart goes on where it was.
    let config = pull::Config {
        durable_name: Some("noise-reduction".to_owned()),
        filter_subject: "ci.task.NoiseReduction.*".to_owned(),
        ..pull::Config::default()
    };
    let mut messages = stream.get_or_create_consumer("noise-reduction", config).await?.messages().await?;
    while let Some(message) = messages.try_next().await? {
        let job: TaskEvent = serde_json::from_slice(&message.payload)?;
        println!("{:?} {:?} wrote {:?}", job.job_id, job.state, job.output_object());
        // Only after the work is done: what is not acknowledged comes again, and `Nats-Msg-Id` tells a repetition.
        message.ack().await?;
    }
    Ok(())
}
