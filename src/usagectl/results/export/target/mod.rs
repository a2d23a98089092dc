//! Sends rows to a billing system. `event` makes an event of a row, `openmeter`, `stripe` and `lago` put events into requests and
//! judge the responses, `http` sends a request until it is answered, and `delivery` does that for all events.

mod customers;
mod delivery;
mod event;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http;
mod lago;
mod openmeter;
mod stripe;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use usage_aggregator::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};
use usage_aggregator::window::Window;

use crate::results::export::row::{Head, UsageRow, second_of};
use crate::shell::console::UsageError;
use crate::stack::Where;
use customers::Customers;
pub(super) use delivery::Sending;
use event::{Event, EventName};
use http::{Http, Response};

/// A billing system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// CloudEvents
    #[value(name = "openmeter")]
    OpenMeter,
    /// Meter events
    Stripe,
    /// Usage events
    Lago,
}

/// An HTTP request, except for the API key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    /// The path below the target's URL.
    path: &'static str,
    /// The headers, without `Authorization`.
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// What a response says about the events of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// All arrived.
    Accepted,
    /// Nothing was stored, because of some events: those that were already there, and those that aren't valid, by position.
    Partly { known: Vec<usize>, refused: Vec<(usize, String)> },
    /// Nothing was stored, because of some of the events.
    Refused(String),
    /// No event will be accepted.
    Denied(String),
}

impl Target {
    fn title(self) -> &'static str {
        match self {
            Target::OpenMeter => "OpenMeter",
            Target::Stripe => "Stripe",
            Target::Lago => "Lago",
        }
    }

    fn usual_url(self) -> &'static str {
        match self {
            Target::OpenMeter => "https://openmeter.cloud",
            Target::Stripe => "https://api.stripe.com",
            Target::Lago => "https://api.getlago.com",
        }
    }

    fn key_variable(self) -> &'static str {
        match self {
            Target::OpenMeter => "OPENMETER_API_KEY",
            Target::Stripe => "STRIPE_API_KEY",
            Target::Lago => "LAGO_API_KEY",
        }
    }

    /// How many events a request has, and how many requests are sent at once.
    fn batches(self) -> (usize, usize) {
        match self {
            Target::OpenMeter => (100, 1),
            // One event each; far below the limit of 1,000 requests per second.
            Target::Stripe => (1, 8),
            // 100: the limit of a batch.
            Target::Lago => (100, 1),
        }
    }

    /// Whether the last event of a window replaces those before.
    fn replaces_events(self) -> bool {
        self == Target::Stripe
    }

    /// How many seconds have one event of a customer and name, if the target ignores all but the last one.
    fn one_event_in(self, window: Window) -> Option<i64> {
        (self == Target::Stripe).then_some(if window == Window::Hour { HOUR_SECONDS } else { DAY_SECONDS })
    }

    /// The second of the event of a row. The last one is in the same window for everyone, and a customer of any moment of the
    /// window is one by then.
    ///
    /// # Errors
    /// If no second of the window will do.
    fn second(self, head: &Head, row: &UsageRow) -> Result<i64, String> {
        let invalid = "its window is not a valid time";
        match self.one_event_in(head.window) {
            Some(period) => stripe::second(head.window.at(second_of(&row.start).ok_or(invalid)?, head.zone), period),
            None => Ok(second_of(&row.end).ok_or(invalid)? - 1),
        }
    }

    /// Why the target wouldn't take an event, if it wouldn't.
    fn objection(self, event: &Event, now: Timestamp) -> Option<String> {
        match self {
            Target::Stripe => stripe::objection(event, now),
            Target::OpenMeter | Target::Lago => None,
        }
    }

    fn request(self, events: &[Event], source: &str) -> Request {
        match self {
            Target::OpenMeter => openmeter::request(events, source),
            Target::Stripe => stripe::request(events),
            Target::Lago => lago::request(events),
        }
    }

    fn judge(self, response: &Response) -> Verdict {
        match (response.status, self) {
            (200..=299, _) => Verdict::Accepted,
            (401 | 403, _) => Verdict::Denied(response.describe()),
            (_, Target::Stripe) => stripe::judge(response),
            (_, Target::Lago) => lago::judge(response),
            (_, Target::OpenMeter) => Verdict::Refused(response.describe()),
        }
    }
}

/// The options for sending.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sending")]
pub(super) struct SendOptions {
    /// Send the closed windows to this billing system
    #[arg(long, value_name = "TARGET")]
    to: Option<Target>,
    /// Print the requests instead of sending them
    #[arg(long, requires = "to")]
    dry_run: bool,
    /// Send to this URL [default: that of the vendor's cloud]
    #[arg(long, value_name = "URL", requires = "to")]
    url: Option<String>,
    /// Name of events: {pipeline}, {resource}, {measure}, and other variables of the pipeline except the entity
    #[arg(long, value_name = "TEMPLATE", default_value = "{resource}_{measure}", requires = "to")]
    event_name: String,
    /// CSV file with the columns `entity` and `customer`: the target's ID for each entity [default: the entity itself]
    #[arg(long, value_name = "FILE", requires = "to")]
    customers: Option<PathBuf>,
    /// What tells this deployment's events from those of others [default: the stack's name, or `local`]
    #[arg(long, value_name = "TEXT", requires = "to")]
    source: Option<String>,
}

impl SendOptions {
    /// Everything that sending needs, if a target is specified.
    ///
    /// # Errors
    /// If an option isn't valid, or if the API key is missing.
    pub(super) fn prepare(&self, place: &Where, window: Window) -> anyhow::Result<Option<Sending>> {
        let Some(target) = self.to else { return Ok(None) };
        if target == Target::Stripe && window > Window::Day {
            let remedy = "use --window day or --window hour, and a meter with this event_time_window";
            return Err(UsageError(format!("Stripe aggregates meter events by hour or day: {remedy}")).into());
        }
        let source =
            self.source.clone().or_else(|| place.stack.clone()).or_else(|| place.local.then(|| "local".to_owned()));
        let source = source.ok_or_else(|| UsageError("--source is required without --stack or --local".to_owned()))?;
        let key = api_key(target.key_variable());
        let is_usual = self.url.is_none();
        if key.is_none() && !self.dry_run && (is_usual || target != Target::OpenMeter) {
            let (variable, title) = (target.key_variable(), target.title());
            return Err(UsageError(format!(
                "{variable} is not set: set it to an API key of {title}, or use --dry-run"
            ))
            .into());
        }
        let url = self.url.clone().unwrap_or_else(|| target.usual_url().to_owned());
        Ok(Some(Sending {
            target,
            http: Http::new(&url, key)?,
            is_dry: self.dry_run,
            name: EventName::parse(&self.event_name)?,
            customers: Customers::read(self.customers.as_deref())?,
            source,
        }))
    }
}

/// API keys are never taken from the command line, which other users of the machine can see.
#[expect(clippy::disallowed_methods, reason = "the API key of the target")]
fn api_key(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|key| !key.is_empty())
}
