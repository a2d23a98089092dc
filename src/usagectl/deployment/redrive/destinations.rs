//! The on-failure destinations of a deployment: a bucket, a queue, or both.

use std::time::Duration;

use laptop::proof::reconcile::bucket_exists;

use super::DestinationKind;
use super::bucket::Bucket;
use super::queue::Queue;
use crate::shell::console::{UsageError, note};
use crate::shell::workplace::queue_client;
use crate::stack::{Deployment, Names, Place};

/// The destinations to redrive.
pub(super) struct Destinations {
    pub bucket: Option<Bucket>,
    pub queue: Option<Queue>,
}

impl Destinations {
    /// The destination that `from` chooses, or all of the deployment.
    ///
    /// # Errors
    /// When the deployment has none.
    pub(super) async fn open(
        deployment: &Deployment,
        from: Option<DestinationKind>,
        hidden: Duration,
    ) -> anyhow::Result<Destinations> {
        let names = &deployment.names;
        let (bucket, queue) = match from {
            Some(DestinationKind::S3) => (Some(Names::need(&names.failure_bucket, "--failure-bucket")?), None),
            Some(DestinationKind::Sqs) => (None, Some(Names::need(&names.failure_queue, "--failure-queue")?)),
            None => (names.failure_bucket.as_deref(), names.failure_queue.as_deref()),
        };
        if bucket.is_none() && queue.is_none() {
            let remedy = "specify --failure-bucket or --failure-queue";
            return Err(UsageError(format!("the deployment has no known failure destination: {remedy}")).into());
        }
        let bucket = bucket.map(|name| Bucket { client: deployment.clients().s3, name: name.to_owned() });
        let queue = match queue {
            Some(url) => {
                let client = match &deployment.place {
                    #[cfg(feature = "deployment")]
                    Place::Account(account) => account.sqs(),
                    Place::Here(_) => queue_client(url)?,
                };
                Some(Queue::new(client, url.to_owned(), hidden))
            }
            None => None,
        };
        Ok(Destinations { bucket: existing(bucket, deployment).await?, queue })
    }
}

/// `bucket`, unless it is on this machine and the mapping hasn't created it yet.
async fn existing(bucket: Option<Bucket>, deployment: &Deployment) -> anyhow::Result<Option<Bucket>> {
    let Some(bucket) = bucket else { return Ok(None) };
    if matches!(deployment.place, Place::Here(_)) && !bucket_exists(&bucket.client, &bucket.name).await? {
        note(&format!("note: the bucket {} doesn't exist yet: no batch has failed", bucket.name));
        return Ok(None);
    }
    Ok(Some(bucket))
}
