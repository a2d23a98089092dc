//! Which faults can occur in a local run. A fault that can't is refused instead of being ignored.

use laptop::proof::FaultProfile;

use super::StreamChoice;

/// The parts of a run that faults depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// How changes reach the function.
    pub stream: StreamChoice,
    /// Whether records are counted, so that there is the ledger's stream, which is one of DynamoDB in any case.
    pub counts: bool,
    /// Whether load is written in which records can be poison.
    pub poison: bool,
    /// Whether the function runs in this process, where its calls can fail.
    pub in_process: bool,
}

impl Reach {
    /// Refuses faults that were requested by name and could not occur.
    ///
    /// # Errors
    /// The first of them, and what it needs.
    pub(super) fn check(&self, named: &FaultProfile) -> Result<(), String> {
        let in_calls = [named.redeliver, named.crash, named.lose, named.throttle, named.conflict, named.unavailable];
        let outages = [named.exit, named.hang, named.denied, named.s3, named.tables];
        let of_function =
            in_calls.iter().chain(&outages).chain([&named.slow, &named.refuse]).any(|percent| *percent > 0.0);
        let of_shards = named.iterator > 0.0 || named.split.is_some();
        if named.poison > 0.0 && !self.poison {
            return Err("`poison` needs a load that can be rejected: start `usagectl local` with --simulate orders or api-usage".to_owned());
        }
        if named.repeat > 0.0 && self.stream != StreamChoice::KinesisForDynamodb {
            return Err("`repeat` needs `usagectl local --stream kinesis-for-dynamodb`".to_owned());
        }
        if of_shards && self.stream != StreamChoice::Dynamodb && !self.counts {
            return Err(
                "`iterator` and `split` need `usagectl local --stream dynamodb`, or a pipeline that counts".to_owned()
            );
        }
        if of_function && !self.in_process {
            return Err("faults in invocations and calls need the function in this process: omit --invoke".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_that_could_not_occur_are_refused() {
        let orders = Reach { stream: StreamChoice::Dynamodb, counts: true, poison: true, in_process: true };
        let check = |reach: Reach, text: &str| reach.check(&text.parse().unwrap());
        assert_eq!(check(orders, "poison=1,split=5s,iterator=2,crash=3,restart=3s,twins"), Ok(()));
        assert_eq!(
            check(Reach { stream: StreamChoice::Kinesis, ..orders }, "split=5s,iterator=2"),
            Ok(()),
            "of the ledger"
        );
        for (reach, text, expected) in [
            (Reach { poison: false, ..orders }, "crash=2,poison=1", "`poison` needs a load that can be rejected"),
            (orders, "repeat=1", "`repeat` needs"),
            (
                Reach { stream: StreamChoice::Kinesis, counts: false, ..orders },
                "split=5s",
                "`iterator` and `split` need",
            ),
            (Reach { in_process: false, ..orders }, "exit=1", "faults in invocations and calls need"),
        ] {
            let error = check(reach, text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
