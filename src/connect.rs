//! Requests that only open a connection. They carry no credentials and ask for nothing that needs a permission, so a start of
//! the function leaves no denied requests in CloudTrail or in access logs. The client that sends them keeps the connection.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;

/// What is sent instead of a signed request to the same endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// `GET`, which DynamoDB's endpoints answer with their health.
    HealthCheck,
    /// `OPTIONS`, which a browser sends before a request to S3, without credentials.
    Preflight,
}

impl Intercept for Opening {
    fn name(&self) -> &'static str {
        "Opening"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        // Among them the signature and the session token.
        let names: Vec<String> = request.headers().iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            request.headers_mut().remove(name);
        }
        *request.body_mut() = SdkBody::empty();
        match self {
            Opening::HealthCheck => request.set_method("GET")?,
            Opening::Preflight => {
                request.set_method("OPTIONS")?;
                request.headers_mut().insert("origin", "https://localhost");
                request.headers_mut().insert("access-control-request-method", "PUT");
            }
        }
        Ok(())
    }
}
