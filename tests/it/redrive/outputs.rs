//! The command as a person uses it: help, mistakes, and output for people.

use super::lambda::MAPPING;
use super::stack::Stack;
use crate::fixture::{Fixture, Run};

#[test]
fn help() {
    let run = Fixture::new().run(&["redrive", "--help"]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
    insta::assert_snapshot!("help_redrive", run.stdout);
}

#[test]
fn mistakes_are_reported_before_anything_is_done() {
    let fixture = Fixture::new();
    let mut transcript = String::new();
    for wrong in [
        &["redrive"][..],
        &["redrive", "--local", "--stack", "usage-aggregator"],
        &["redrive", "--local", "--from", "ftp"],
        &["redrive", "--local", "--visibility-timeout", "1s"],
        &["redrive", "--function", "f"],
        &["redrive", "--function", "f", "--from", "sqs"],
        &["redrive", "--function", "f", "--from", "s3"],
    ] {
        let mut command = fixture.command(wrong);
        let run: Run = command.env("AWS_REGION", "us-east-1").output().unwrap().into();
        assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{wrong:?}: {run:?}");
        transcript += &format!("{}\n{}\n", wrong.join(" "), run.stderr);
    }
    insta::assert_snapshot!("redrive_mistakes", transcript);
    assert!(!fixture.0.path().join(".usage").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_readable() {
    let stack = Stack::new("rd-text", &[]).await;
    let records = stack.orders(&["1", "2", "free", "4"]).await;
    stack.discard(&records, 1).await;
    stack.put("aws/lambda/garbage", "secret".to_owned()).await;
    stack.queue.send(&stack.document(&records[3..]).metadata().unwrap()).await;
    let both = [stack.bucket_options(), stack.queue_options()].concat();
    let mut transcript = String::new();
    for more in [&["--dry-run"][..], &[], &["--from", "sqs"]] {
        let mut command = stack.plain(&[&both[..], more].concat());
        let run: Run = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into();
        transcript +=
            &format!("redrive {}\n{}{}exit code {}\n\n", more.join(" "), run.stdout, run.stderr, run.code.unwrap());
    }
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(MAPPING, "MAPPING");
    settings.add_filter(r"shardId-\d{20}-[0-9a-f]{8}/\d{4}/\d\d/\d\d/[0-9T.-]{19}", "SHARD/DAY/TIME");
    settings.add_filter(r"\b1\d{20}\b", "NUMBER");
    settings.add_filter(r"\b\d+ d \d+ h\b|\b\d+ h \d+ min\b", "LEFT");
    settings.add_filter(r"\b\d+ (s|min)\b", "AGE");
    // Columns are as wide as what is in them.
    settings.add_filter(r"─+", "─");
    settings.add_filter(r"═+", "═");
    settings.add_filter(r" {2,}", " ");
    settings.bind(|| insta::assert_snapshot!("redrive_text", transcript));
}
