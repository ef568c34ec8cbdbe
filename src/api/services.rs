//! `/analysis/services`: what an analysis asks of the original beside resources.
//!
//! Of these there is the console of its run. For each of the others it is said what to use instead.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::body::Body;
use super::caller::Caller;
use super::path::Path;
use super::reply::{Answer, Failure, Refusal, Success};
use crate::auth::Principal;
use crate::fault::ErrorCode;
use crate::run::console::Level;

/// A message for the console.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsoleMessage {
    /// Lines of text.
    message: String,
    // Clients send it in three forms, none of which is the order of the lines.
    #[serde(rename = "timestamp")]
    _timestamp: Option<Value>,
}

/// Prints into the console of the run whose guest sends this, or whose listener does: with the token
/// of the run's frame; with the analysis's own, into the run that was delivered last.
#[utoipa::path(post, path = "/analysis/services/console/send", tag = "runs",
    request_body = ConsoleMessage,
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn console(
    caller: Caller,
    Body(ConsoleMessage { message, .. }): Body<ConsoleMessage>,
) -> Answer<&'static str> {
    if let Some(run) = &caller.guest {
        run.printer.log(Level::Info, &message);
    } else if let (Principal::Analysis { id }, true) = (&caller.principal, caller.executes()) {
        let (runner, tenant) = (&caller.runner, &caller.tenant);
        let run = match caller.delivered() {
            Some(run) => run,
            None => runner.delivered_last(tenant, *id).await?,
        };
        runner.print_outside(tenant, run, &message).await?;
    } else {
        let message = "Authorization Denied: a console belongs to a run, and only its own guest \
                       prints there, from inside, or the listener that it was delivered to; no \
                       administrator does";
        return Err(Refusal::new(ErrorCode::Denied, message));
    }
    Ok(Success::ok("Console Message Sent"))
}

/// Refuses every other service.
pub async fn others(_: Caller, Path(service): Path<String>) -> Refusal {
    let instead = match service.trim_end_matches('/') {
        "email/send" | "email-smtp/send" | "email-sendgrid/send" => {
            "the HTTP API of a provider of e-mail"
        }
        "sms/send" | "sms-twilio/send" => "the HTTP API of a provider of text messages",
        "whatsapp-twilio/send" => "the HTTP API of a provider of WhatsApp messages",
        "notification/send" => {
            "the HTTP API of a chat or of a provider of notifications: there are no users here to notify"
        }
        "queue-sqs/send" => "the HTTP API of the queue",
        "attachment/upload" => "the HTTP API of a storage for files",
        "mqtt/publish" => {
            "an HTTP API of the broker: the runner receives MQTT messages and publishes none"
        }
        "pdf/generate" => "the HTTP API of a service that makes PDF files",
        _ => {
            let message = format!("there is no service {service:.100}");
            return Refusal::new(ErrorCode::NotFound, message);
        }
    };
    let message = format!(
        "the service {service} is not part of the runner; call {instead}, with its key in a secret, \
         from hosts that a policy opens"
    );
    Refusal::new(ErrorCode::NotSupported, message)
}
