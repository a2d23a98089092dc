//! SQS by moto, on a free port.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use laptop::emulators::sdk_config;
use serde_json::Value;

use crate::readers::python;

const SERVER: &str = "
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
server.start()
print('http://%s:%s' % server.get_host_and_port(), flush=True)
sys.stdin.read()
server.stop()
";

/// A moto server, until it is dropped.
pub struct Moto {
    process: Child,
    pub url: String,
}

impl Moto {
    pub fn start() -> Moto {
        let mut command = Command::new(python());
        let command = command.args(["-c", SERVER]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "moto did not start: {url}");
        Moto { process, url: url.trim().to_owned() }
    }

    pub async fn queue(&self, name: &str) -> Queue {
        Queue::create(&self.url, name).await
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // The script ends when its stdin does.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// A queue and what it holds.
pub struct Queue {
    client: aws_sdk_sqs::Client,
    pub endpoint: String,
    pub url: String,
}

impl Queue {
    pub async fn create(endpoint: &str, name: &str) -> Queue {
        let config = sdk_config(None).into_builder().endpoint_url(endpoint).build();
        let client = aws_sdk_sqs::Client::new(&config);
        let url = client.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap();
        Queue { client, endpoint: endpoint.to_owned(), url }
    }

    pub async fn send(&self, body: &str) {
        self.client.send_message().queue_url(&self.url).message_body(body).send().await.unwrap();
    }

    /// Messages, whether they can be seen or not.
    pub async fn messages(&self) -> (u64, u64) {
        let attributes = self.client.get_queue_attributes().queue_url(&self.url);
        let attributes = attributes.attribute_names(aws_sdk_sqs::types::QueueAttributeName::All).send().await.unwrap();
        let number = |name: aws_sdk_sqs::types::QueueAttributeName| -> u64 {
            attributes.attributes().unwrap()[&name].parse().unwrap()
        };
        (
            number(aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages),
            number(aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    /// The documents of all messages that can be seen; they stay.
    pub async fn documents(&self) -> Vec<Value> {
        let (mut documents, mut receipts) = (Vec::new(), Vec::new());
        loop {
            let receive = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
            let received = receive.visibility_timeout(60).send().await.unwrap().messages.unwrap_or_default();
            if received.is_empty() {
                break;
            }
            for message in received {
                documents.push(serde_json::from_str(message.body().unwrap()).unwrap());
                receipts.push(message.receipt_handle.unwrap());
            }
        }
        for receipt in receipts {
            let change = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
            change.visibility_timeout(0).send().await.unwrap();
        }
        documents
    }
}
