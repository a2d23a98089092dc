//! Sends the events of all rows, and counts what became of them. A batch that is refused is sent again without the events that
//! are the reason, or in halves until they are found.

use std::collections::HashMap;

use futures::future::join_all;
use serde_json::{Map, Value, json};
use usage_aggregator::time::Timestamp;

use super::event::{Address, Identity};
use super::{Customers, Event, EventName, Http, Request, Target, Verdict};
use crate::results::export::Gathered;
use crate::results::export::row::{Head, Status, UsageRow};
use crate::shell::console::{self, Done, counted};
use crate::shell::options::Options;

/// After so many refused events, something more general must be wrong.
const MOST_REFUSED: usize = 100;

/// What sending needs.
pub(in crate::results::export) struct Sending {
    pub(super) target: Target,
    pub(super) http: Http,
    /// Whether requests are printed instead of sent.
    pub(super) is_dry: bool,
    pub(super) name: EventName,
    pub(super) customers: Customers,
    pub(super) source: String,
}

/// What became of the rows.
#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    sent: usize,
    known: usize,
    provisional: usize,
    /// Windows whose snapshots may have expired.
    expired_windows: usize,
    refused: Vec<(UsageRow, String)>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.requests += other.requests;
        self.sent += other.sent;
        self.known += other.known;
        self.provisional += other.provisional;
        self.refused.extend(other.refused);
    }
}

/// The windows of the latest events, if the target uses only one event of a customer and name in a window.
struct Latest {
    /// The length of the target's windows.
    seconds: Option<i64>,
    windows: HashMap<(String, String), i64>,
}

impl Latest {
    /// Whether another event has the customer, name, and window of this one. Events are in the order of their windows.
    fn is_taken(&mut self, event: &Event) -> bool {
        let Some(window) = self.seconds.map(|seconds| event.second / seconds) else { return false };
        self.windows.insert((event.customer.clone(), event.name.clone()), window) == Some(window)
    }
}

impl Sending {
    /// Sends the rows of closed windows, or prints the requests.
    pub(in crate::results::export) async fn run(
        self,
        Gathered { head, rows, expired_windows }: Gathered,
        now: Timestamp,
        options: &Options,
    ) -> anyhow::Result<Done> {
        let head = &head;
        let (most, at_once) = self.target.batches();
        let identity = Identity { source: &self.source, are_replaced: self.target.replaces_events() };
        let progress = console::spinner("events sent");
        let mut tally = Tally { expired_windows, ..Tally::default() };
        let mut batch = Vec::new();
        let mut latest = Latest { seconds: self.target.one_event_in(head.window), windows: HashMap::new() };
        for row in rows {
            let row = row?;
            if row.status != Status::Closed {
                tally.provisional += 1;
                continue;
            }
            let event = match self.event(head, row, now, &identity)? {
                Ok(event) if latest.is_taken(&event) => {
                    self.refuse(head, &mut tally, (event.row, self.taken()))?;
                    continue;
                }
                Ok(event) => event,
                Err(refused) => {
                    self.refuse(head, &mut tally, refused)?;
                    continue;
                }
            };
            // Stripe takes one request at a time for a customer and meter.
            let is_busy = at_once > 1
                && batch.iter().any(|other: &Event| (&other.customer, &other.name) == (&event.customer, &event.name));
            if is_busy || batch.len() >= most * at_once {
                self.flush(head, &mut tally, std::mem::take(&mut batch), options).await?;
                progress.set_position(u64::try_from(tally.sent).unwrap_or_default());
            }
            batch.push(event);
        }
        self.flush(head, &mut tally, batch, options).await?;
        progress.finish_and_clear();
        self.conclude(head, &tally, options)
    }

    /// The event of a row, or why there can't be one.
    fn event(
        &self,
        head: &Head,
        row: UsageRow,
        now: Timestamp,
        identity: &Identity<'_>,
    ) -> anyhow::Result<Result<Event, (UsageRow, String)>> {
        let name = self.name.of(head, &row)?;
        let Some(customer) = self.customers.of(row.entity()) else {
            return Ok(Err((row, "the --customers file has no line for this entity".to_owned())));
        };
        let second = match self.target.second(head, &row) {
            Ok(second) => second,
            Err(objection) => return Ok(Err((row, objection))),
        };
        let event = Event::new(head, row, Address { name, customer, second }, identity);
        Ok(match self.target.objection(&event, now) {
            Some(objection) => Err((event.row, objection)),
            None => Ok(event),
        })
    }

    /// Why an event isn't sent if there is another one of its customer, name, and window.
    fn taken(&self) -> String {
        let title = self.target.title();
        format!(
            "another row of this window has the same customer and event name, and {title} would use only one of them: give each entity its own customer, or set --event-name"
        )
    }

    fn refuse(&self, head: &Head, tally: &mut Tally, (row, why): (UsageRow, String)) -> anyhow::Result<()> {
        console::note(&format!("refused: {}: {why}", head.describe(&row)));
        tally.refused.push((row, why));
        if tally.refused.len() < MOST_REFUSED {
            return Ok(());
        }
        let title = self.target.title();
        anyhow::bail!(
            "stopped after {MOST_REFUSED} refused events; fix the cause, for example the meters in {title}, and run the command again"
        )
    }

    async fn flush(&self, head: &Head, tally: &mut Tally, events: Vec<Event>, options: &Options) -> anyhow::Result<()> {
        let (most, _) = self.target.batches();
        let source = format!("usage-aggregator/{}", self.source);
        if self.is_dry {
            for batch in events.chunks(most) {
                console::print(&self.printed(&self.target.request(batch, &source), options))?;
                tally.requests += 1;
                tally.sent += batch.len();
            }
            return Ok(());
        }
        for delivered in join_all(events.chunks(most).map(|batch| self.deliver(batch.to_vec(), &source))).await {
            let mut delivered = delivered?;
            for refused in std::mem::take(&mut delivered.refused) {
                self.refuse(head, tally, refused)?;
            }
            tally.add(delivered);
        }
        Ok(())
    }

    /// Sends a batch, and what is left of it, until nothing is.
    async fn deliver(&self, batch: Vec<Event>, source: &str) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        let mut left = vec![batch];
        while let Some(mut batch) = left.pop() {
            let response = self.http.send(&self.target.request(&batch, source)).await?;
            tally.requests += 1;
            match self.target.judge(&response) {
                Verdict::Accepted => tally.sent += batch.len(),
                Verdict::Denied(why) => {
                    let (title, variable) = (self.target.title(), self.target.key_variable());
                    anyhow::bail!("{title} denied access: {why}; check {variable}");
                }
                Verdict::Partly { known, refused }
                    if known.iter().chain(refused.iter().map(|(place, _)| place)).any(|place| *place < batch.len()) =>
                {
                    let mut rest = Vec::new();
                    for (place, event) in batch.into_iter().enumerate() {
                        match refused.iter().find(|(refused, _)| *refused == place) {
                            Some((_, why)) => tally.refused.push((event.row, why.clone())),
                            None if known.contains(&place) => tally.known += 1,
                            None => rest.push(event),
                        }
                    }
                    left.extend(Some(rest).filter(|rest| !rest.is_empty()));
                }
                Verdict::Partly { .. } | Verdict::Refused(_) if batch.len() > 1 => {
                    let later = batch.split_off(batch.len() / 2);
                    left.extend([later, batch]);
                }
                Verdict::Partly { .. } => {
                    tally.refused.extend(batch.into_iter().map(|event| (event.row, response.describe())))
                }
                Verdict::Refused(why) => tally.refused.extend(batch.into_iter().map(|event| (event.row, why.clone()))),
            }
        }
        Ok(tally)
    }

    /// A request as it would be sent, except for the key.
    fn printed(&self, request: &Request, options: &Options) -> String {
        let url = self.http.url_of(request);
        let authorization = ("Authorization", format!("Bearer ${}", self.target.key_variable()));
        let headers: Vec<&(&str, String)> = [&authorization].into_iter().chain(&request.headers).collect();
        if options.json {
            let headers: Map<String, Value> =
                headers.into_iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
            return json!({ "method": "POST", "url": url, "headers": headers, "body": request.body }).to_string();
        }
        let headers: String = headers.into_iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        format!("POST {url}\n{headers}\n{}\n", request.body)
    }

    fn conclude(&self, head: &Head, tally: &Tally, options: &Options) -> anyhow::Result<Done> {
        let Tally { requests, sent, known, provisional, expired_windows, refused } = tally;
        let title = self.target.title();
        if options.json && !self.is_dry {
            let refused: Vec<Value> =
                refused.iter().map(|(row, why)| json!({ "row": head.describe(row), "reason": why })).collect();
            let line = json!({
                "target": title.to_lowercase(), "requests": requests, "sent": sent, "already_there": known,
                "provisional": provisional, "expired_windows": expired_windows, "refused": refused,
            });
            console::print(&line.to_string())?;
        } else if self.is_dry {
            let (events, requests) = (counted(*sent, "event"), counted(*requests, "request"));
            console::note(&format!("note: dry run: {events} in {requests} to {title} not sent"));
        } else {
            let more = [(*known, "already there"), (refused.len(), "refused")];
            let more =
                more.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!(", {number} {what}"));
            console::print(&format!("{} sent to {title}{}", counted(*sent, "event"), more.collect::<String>()))?;
        }
        if *provisional > 0 {
            let rows = counted(*provisional, "provisional row");
            console::note(&format!(
                "note: {rows} not sent: run the command again once the windows are closed (--grace)"
            ));
        }
        Ok(if refused.is_empty() { Done::Well } else { Done::WithFailures })
    }
}
