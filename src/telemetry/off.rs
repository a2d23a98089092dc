//! A build without the feature `otel` has no telemetry: the type has no value, so nothing can be asked of one.

use std::sync::Arc;

use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;

use super::{Layers, Settings};

/// Never exists.
#[derive(Debug)]
pub enum Telemetry {}

impl Telemetry {
    /// Nothing.
    ///
    /// # Errors
    /// If the environment asks for telemetry.
    pub fn from_env() -> Result<Option<Arc<Telemetry>>, String> {
        match Settings::from_env() {
            Ok(None) => Ok(None),
            Ok(Some(_)) => {
                Err("this build has no OpenTelemetry; build the function with `make build OTEL=1`".to_owned())
            }
            Err(mistake) => Err(mistake),
        }
    }

    /// None.
    pub fn layers(&self) -> Layers {
        match *self {}
    }

    /// None.
    pub fn interceptor(&self) -> SharedInterceptor {
        match *self {}
    }

    /// Nothing is measured.
    pub fn phases(&self) -> Option<Phases> {
        match *self {}
    }

    /// Nothing is counted.
    pub fn count(&self, _name: &'static str, _pipeline: &str, _value: f64) {
        match *self {}
    }

    /// Nothing is measured.
    pub fn milliseconds(&self, _name: &'static str, _pipeline: &str, _value: f64) {
        match *self {}
    }

    /// Nothing is exported.
    pub async fn flush(&self) -> usize {
        match *self {}
    }

    /// Awaits the invocation.
    pub async fn within<F: Future>(&self, _header: Option<&str>, _function_arn: &str, _invocation: F) -> F::Output {
        match *self {}
    }
}

/// Never measured.
#[derive(Debug)]
pub enum Phases {}

impl Phases {
    /// Nothing.
    pub fn switch(&mut self) {
        match *self {}
    }

    /// Nothing.
    pub fn finish(self, _names: [&'static str; 2]) {
        match self {}
    }
}
