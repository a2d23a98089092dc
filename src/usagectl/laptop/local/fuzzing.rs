//! The control port of a local run, without a run and without a port, for the fuzzer.

use axum::Router;
use laptop::proof::{FaultInjector, FaultProfile};

use super::StreamChoice;
use super::control::Control;
use super::reach::Reach;
use crate::page::tasks::Tasks;
use crate::page::{Page, behind_guard};

/// What the control port of a run offers: its page can start no commands.
#[derive(Debug)]
pub struct ControlPort {
    control: Control,
    /// All routes, behind the guard.
    pub routes: Router,
}

impl ControlPort {
    /// A run on this port whose page carries this token.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new(port: u16, token: &str) -> anyhow::Result<ControlPort> {
        let faults = FaultInjector::new(FaultProfile::default(), 1);
        let reach = Reach { stream: StreamChoice::Dynamodb, counts: true, poison: true, in_process: true };
        let control = Control::new(faults, reach, Page::new(Tasks::new([]))?);
        let routes = behind_guard(control.routes(), port, token);
        Ok(ControlPort { control, routes })
    }

    /// The faults in effect.
    pub fn faults(&self) -> FaultProfile {
        self.control.faults.profile()
    }

    /// Whether the run is to stop.
    pub fn is_stopped(&self) -> bool {
        *self.control.stop.borrow()
    }

    /// Continues without faults.
    pub fn reset(&self) {
        self.control.faults.set(FaultProfile::default());
        self.control.stop.send_replace(false);
    }
}
