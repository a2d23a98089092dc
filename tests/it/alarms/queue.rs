//! A queue in memory, with the metrics that SQS publishes about it every minute.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use event_source_mapping::{Clock, Timestamp};
use laptop::emulators::{Metrics, sdk_config};

/// When each message was sent. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Queue(Arc<Mutex<Vec<Timestamp>>>);

impl Queue {
    /// A client that sends to it.
    pub fn client(&self, clock: Clock) -> aws_sdk_sqs::Client {
        let connector = SharedHttpConnector::new(Sending { queue: self.clone(), clock });
        let config = sdk_config(Some(http_client_fn(move |_, _| connector.clone())));
        let config = aws_sdk_sqs::config::Builder::from(&config).endpoint_url("http://queue").build();
        aws_sdk_sqs::Client::from_conf(config)
    }

    pub fn delete_all(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Publishes its metrics. SQS reports only active queues; this one is as soon as it has had a message.
    pub fn publish(&self, metrics: &Metrics, now: Timestamp) {
        let sent = self.0.lock().unwrap();
        let oldest = sent.first().map_or(0, |sent| now.seconds() - sent.seconds());
        let publish = |metric, value| metrics.publish("AWS/SQS", metric, ("QueueName", "q"), value);
        publish("ApproximateNumberOfMessagesVisible", sent.len() as f64);
        publish("ApproximateAgeOfOldestMessage", oldest as f64);
    }
}

#[derive(Debug)]
struct Sending {
    queue: Queue,
    clock: Clock,
}

impl HttpConnector for Sending {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        assert_eq!(request.headers().get("x-amz-target"), Some("AmazonSQS.SendMessage"));
        self.queue.0.lock().unwrap().push(self.clock.now());
        let mut response = HttpResponse::new(StatusCode::try_from(200).unwrap(), r#"{"MessageId":"m"}"#.into());
        response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        HttpConnectorFuture::ready(Ok(response))
    }
}
