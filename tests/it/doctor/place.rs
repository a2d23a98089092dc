//! The stack on moto behind the emulated endpoints.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::{PointInTimeRecoverySpecification, TimeToLiveSpecification};
use aws_sdk_glue::types::{DatabaseInput, SerDeInfo, StorageDescriptor, TableInput};
use aws_sdk_s3::types::PublicAccessBlockConfiguration;
use laptop::emulators::sdk_config;
use serde_json::json;
use usage_aggregator::pipeline::{Pipeline, shipped};
use usage_aggregator::time::Timestamp;

use super::cloudwatch::Answers;
use super::lambda::Front;
use crate::fixture::{Fixture, Run};
use crate::template::moto::Stack;

pub fn front(recursive_loop: &'static str, reserved: u32, version: &'static str) -> Front {
    Front { moto: String::new(), recursive_loop, reserved, version, key_denied: false }
}

/// The stack, and its endpoints.
pub struct Place {
    pub stack: Stack,
    pub config: aws_config::SdkConfig,
    pub environment: BTreeMap<&'static str, String>,
}

impl Place {
    pub async fn new(parameters: &[&str], front: Front, answers: Answers) -> Place {
        let stack = Stack::create(parameters);
        let url = stack.report["url"].as_str().unwrap().to_owned();
        let environment = BTreeMap::from([
            ("AWS_ENDPOINT_URL", url.clone()),
            ("AWS_ENDPOINT_URL_LAMBDA", Front { moto: url.clone(), ..front }.serve().await),
            ("AWS_ENDPOINT_URL_CLOUDWATCH", answers.serve().await),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]);
        let config = sdk_config(None).into_builder().endpoint_url(url).build();
        Place { stack, config, environment }
    }

    pub fn output(&self, name: &str) -> &str {
        self.stack.text("outputs", name)
    }

    pub async fn doctor(&self, arguments: &[&str]) -> Run {
        // moto creates no Athena database, so no output has its name.
        self.run(&[&["doctor", "--database", "moto"], arguments].concat()).await
    }

    pub async fn run(&self, arguments: &[&str]) -> Run {
        let fixture = Fixture::new();
        let mut command = fixture.command(arguments);
        command.envs(&self.environment);
        tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
    }

    /// Creates what the template has and moto doesn't create: Athena's tables, the archive's policy and public access block,
    /// the tables' backups and expiry.
    pub async fn complete(&self) {
        let glue = aws_sdk_glue::Client::new(&self.config);
        let database = DatabaseInput::builder().name("moto").build().unwrap();
        glue.create_database().database_input(database).send().await.unwrap();
        let pipeline = Pipeline::parse(&shipped("orders").unwrap()).unwrap();
        for (name, schema) in pipeline.schemas() {
            for name in [name.to_owned(), format!("{name}_compacted")] {
                let table = athena_table(&name, schema.json());
                glue.create_table().database_name("moto").table_input(table).send().await.unwrap();
            }
        }
        let bucket = self.output("ArchiveBucketName");
        let tls = json!({ "Version": "2012-10-17", "Statement": [{ "Sid": "OnlyByTls", "Effect": "Deny", "Principal": "*",
            "Action": "s3:*", "Resource": format!("arn:aws:s3:::{bucket}"), "Condition": { "Bool": { "aws:SecureTransport": "false" } } }] });
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.config);
        for table in ["UsageTableName", "LedgerTableName"] {
            let recovery =
                PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build().unwrap();
            let backups = dynamodb.update_continuous_backups().table_name(self.output(table));
            backups.point_in_time_recovery_specification(recovery).send().await.unwrap();
            let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build().unwrap();
            let expiring = dynamodb.update_time_to_live().table_name(self.output(table));
            expiring.time_to_live_specification(expiry).send().await.unwrap();
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let today = Timestamp::from_seconds(now.try_into().unwrap()).unwrap().date();
        let file = format!("{}/avro/order/partition_date={today}/x.avro", self.output("ArchiveKeyPrefix"));
        self.s3().put_object().bucket(bucket).key(file).send().await.unwrap();
        self.attach_a_policy().await;
        self.subscribe().await;
        let locks = PublicAccessBlockConfiguration::builder().block_public_acls(true).block_public_policy(true);
        let locks = locks.ignore_public_acls(true).restrict_public_buckets(true).build();
        let lock = self.s3().put_public_access_block().bucket(bucket).public_access_block_configuration(locks);
        lock.send().await.unwrap();
        self.s3().put_bucket_policy().bucket(bucket).policy(tls.to_string()).send().await.unwrap();
    }

    /// The topic that the alarms of `cloudwatch` notify, and a subscription, which moto doesn't create from the template.
    async fn subscribe(&self) {
        let sns = aws_sdk_sns::Client::new(&self.config);
        let topic = sns.create_topic().name("topic").send().await.unwrap().topic_arn.unwrap();
        let queue = "arn:aws:sqs:us-east-1:123456789012:someone";
        sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(queue).send().await.unwrap();
    }

    /// An attached policy, which the template doesn't have, so that those are tested, too.
    async fn attach_a_policy(&self) {
        let iam = aws_sdk_iam::Client::new(&self.config);
        let roles = iam.list_roles().send().await.unwrap();
        let role =
            roles.roles().iter().map(|role| role.role_name()).find(|name| name.contains("FunctionRole")).unwrap();
        let nothing = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" }] });
        let made = iam.create_policy().policy_name("more").policy_document(nothing.to_string()).send().await.unwrap();
        let arn = made.policy().unwrap().arn().unwrap().to_owned();
        iam.attach_role_policy().role_name(role).policy_arn(arn).send().await.unwrap();
    }

    pub fn s3(&self) -> aws_sdk_s3::Client {
        aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&self.config).force_path_style(true).build())
    }
}

fn athena_table(name: &str, schema: &str) -> TableInput {
    let serde = SerDeInfo::builder().parameters("avro.schema.literal", schema).build();
    TableInput::builder()
        .name(name)
        .parameters("projection.enabled", "true")
        .parameters("projection.partition_date.range", "2026-01-01,NOW+1DAYS")
        .storage_descriptor(StorageDescriptor::builder().serde_info(serde).build())
        .build()
        .unwrap()
}
