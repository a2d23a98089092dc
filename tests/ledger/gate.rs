//! Actors whose requests happen one at a time, in an order that the test chooses.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What a request reads or writes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Access {
    pub of: &'static str,
    pub writes: bool,
}

impl Access {
    /// Whether two requests that follow each other may change places: both only read, or they have nothing in common.
    fn commutes(self, other: Access) -> bool {
        self.of != other.of || !(self.writes || other.writes)
    }
}

/// The gate of one actor: each of its requests waits for a turn.
#[derive(Debug, Clone)]
pub struct Gate {
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// What a request accesses, if that is known.
    access: fn(&HttpRequest) -> Option<Access>,
    /// What the request that waits accesses.
    next: Arc<Mutex<Option<Access>>>,
}

impl Gate {
    pub fn new() -> Gate {
        Gate::knowing(|_| None)
    }

    /// A gate that knows what requests access.
    pub fn knowing(access: fn(&HttpRequest) -> Option<Access>) -> Gate {
        Gate { turns: Arc::new(Semaphore::new(0)), waiting: Arc::default(), access, next: Arc::default() }
    }

    /// A client whose requests pass this gate.
    pub fn client(&self, http: &SharedHttpClient) -> SharedHttpClient {
        let (gate, http) = (self.clone(), http.clone());
        http_client_fn(move |settings, components| {
            SharedHttpConnector::new(Gated { gate: gate.clone(), inner: http.http_connector(settings, components) })
        })
    }
}

#[derive(Debug)]
struct Gated {
    gate: Gate,
    inner: SharedHttpConnector,
}

impl HttpConnector for Gated {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (gate, inner) = (self.gate.clone(), self.inner.clone());
        HttpConnectorFuture::new(async move {
            *gate.next.lock().unwrap() = (gate.access)(&request);
            gate.waiting.fetch_add(1, Ordering::SeqCst);
            gate.turns.acquire().await.unwrap().forget();
            gate.waiting.fetch_sub(1, Ordering::SeqCst);
            inner.call(request).await
        })
    }
}

/// Someone whose requests are scheduled.
pub struct Actor {
    gate: Gate,
    task: JoinHandle<()>,
}

pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Actor {
    pub fn new(gate: Gate, work: Work) -> Actor {
        Actor { gate, task: tokio::spawn(work) }
    }

    /// Waits until it waits for a turn or has ended. Time is virtual and passes only while all tasks are idle. Returns
    /// whether it waits.
    pub async fn waits(&self) -> bool {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if self.task.is_finished() {
                return false;
            }
            if self.gate.waiting.load(Ordering::SeqCst) > 0 {
                return true;
            }
        }
    }
}

impl Actor {
    /// Whether its next request commutes with that of another actor.
    fn commutes(&self, other: &Actor) -> bool {
        let next = |actor: &Actor| *actor.gate.next.lock().unwrap();
        next(self).zip(next(other)).is_some_and(|(own, others)| own.commutes(others))
    }

    /// Lets it make one request.
    pub fn proceed(&self) {
        self.gate.turns.add_permits(1);
    }

    /// Ends it where it is: before its next request, after the last one.
    pub async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()), "it has ended");
    }

    /// Its end. A panic of the actor is one of the test.
    pub async fn end(self) {
        self.task.await.unwrap();
    }
}

/// The choices of one run: at each step, which of the actors that wait gets its turn.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    /// The index among the actors that could be chosen, and how many there were.
    choices: Vec<(usize, usize)>,
    /// Whether another schedule differs only in the order of requests that commute, so that this one was left unfinished.
    pub is_redundant: bool,
}

impl Schedule {
    /// Runs the actors to their end: the choices of this schedule, then always the actor that went last. Returns the
    /// schedule with all choices.
    ///
    /// Where gates know what requests access, only one of the schedules that differ in the order of commuting requests is run to
    /// its end. An actor that could have been chosen earlier, and was in another schedule, is asleep until a request that doesn't
    /// commute with its own: whatever it could do before that, it does in that other schedule, with the same results. These are
    /// Godefroid's sleep sets. They keep every order of requests that don't commute.
    pub async fn run(&self, actors: Vec<Actor>) -> Schedule {
        let mut made = Schedule::default();
        let mut last = 0;
        let mut asleep: Vec<usize> = Vec::new();
        loop {
            let mut waiting = Vec::new();
            for (number, actor) in actors.iter().enumerate() {
                if actor.waits().await {
                    waiting.push(number);
                }
            }
            if waiting.is_empty() {
                break;
            }
            // The actor that went last comes first, so that choice 0 changes nothing.
            waiting.sort_by_key(|number| (*number != last, *number));
            waiting.retain(|number| !asleep.contains(number));
            if waiting.is_empty() {
                made.is_redundant = true;
                return made;
            }
            let (choice, _) = self.choices.get(made.choices.len()).copied().unwrap_or_default();
            made.choices.push((choice, waiting.len()));
            last = waiting[choice];
            asleep.extend(&waiting[..choice]);
            asleep.retain(|number| actors[*number].commutes(&actors[last]));
            actors[last].proceed();
        }
        for actor in actors {
            actor.end().await;
        }
        made
    }

    /// The next schedule after this complete one that changes from one waiting actor to another at most `changes`
    /// times.
    pub fn next(mut self, changes: usize) -> Option<Schedule> {
        self.is_redundant = false;
        while let Some((choice, of)) = self.choices.pop() {
            let made = self.choices.iter().filter(|(choice, _)| *choice > 0).count();
            if choice + 1 < of && made < changes {
                self.choices.push((choice + 1, of));
                return Some(self);
            }
        }
        None
    }
}
