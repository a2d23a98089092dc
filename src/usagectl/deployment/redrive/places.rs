//! The destinations of a deployment, as far as they are to be redriven.

use std::time::Duration;

use laptop::proof::reconcile::bucket_exists;

use super::Origin;
use super::bucket::Bucket;
use super::queue::Queue;
use crate::shell::console::{UsageError, note};
use crate::shell::workplace::queue_client;
use crate::stack::{Deployment, Names, Place};

/// Where failed batches are.
pub struct Places {
    pub bucket: Option<Bucket>,
    pub queue: Option<Queue>,
}

impl Places {
    /// The destination that was asked for, or all there are.
    ///
    /// # Errors
    /// When there is none.
    pub async fn open(deployment: &Deployment, from: Option<Origin>, hidden: Duration) -> anyhow::Result<Places> {
        let names = &deployment.names;
        let (bucket, queue) = match from {
            Some(Origin::S3) => (Some(Names::need(&names.failure_bucket, "--failure-bucket")?), None),
            Some(Origin::Sqs) => (None, Some(Names::need(&names.failure_queue, "--failure-queue")?)),
            None => (names.failure_bucket.as_deref(), names.failure_queue.as_deref()),
        };
        if bucket.is_none() && queue.is_none() {
            let remedy = "give --failure-bucket or --failure-queue";
            return Err(UsageError(format!("the deployment has no failure destination that is known: {remedy}")).into());
        }
        let bucket = bucket.map(|name| Bucket { client: deployment.clients().s3, name: name.to_owned() });
        let queue = match queue {
            Some(url) => {
                let client = match &deployment.place {
                    Place::Account(account) => account.sqs(),
                    Place::Here(_) => queue_client(url)?,
                };
                Some(Queue::new(client, url.to_owned(), hidden))
            }
            None => None,
        };
        Ok(Places { bucket: there(bucket, deployment).await?, queue })
    }
}

/// `bucket`, unless it is one that the mapping on this machine has not made yet.
async fn there(bucket: Option<Bucket>, deployment: &Deployment) -> anyhow::Result<Option<Bucket>> {
    let Some(bucket) = bucket else { return Ok(None) };
    if matches!(deployment.place, Place::Here(_)) && !bucket_exists(&bucket.client, &bucket.name).await? {
        note(&format!("note: there is no bucket {} here: nothing has gone there", bucket.name));
        return Ok(None);
    }
    Ok(Some(bucket))
}
