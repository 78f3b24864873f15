//! JUnit's XML, which build servers read: one test case per statement.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::{Report, complaint};
use crate::suite::Status;

impl Report<'_> {
    /// The XML document.
    #[must_use]
    pub fn junit(&self) -> String {
        let seconds = |s: f64| Duration::try_from_secs_f64(s).unwrap_or_default();
        let mut suite = TestSuite::new(self.suite);
        suite.set_time(seconds(self.seconds));
        for outcome in self.outcomes {
            let status = match (outcome.status, complaint(outcome)) {
                (Status::Open, Some(why)) => {
                    let mut status = TestCaseStatus::skipped();
                    status.set_message(why);
                    status
                }
                (_, Some(why)) => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(why).set_type(outcome.status.word());
                    if let Some(witness) = &outcome.witness {
                        status.set_description(format!(
                            "witness {:?}, token ids {:?}",
                            witness.text, witness.ids
                        ));
                    }
                    status
                }
                (_, None) => TestCaseStatus::success(),
            };
            let mut case = TestCase::new(&outcome.name, status);
            case.set_classname(&outcome.model).set_time(seconds(outcome.seconds));
            case.set_system_out(format!("{}: {}", outcome.verdict.word().to_uppercase(), outcome.claim));
            suite.add_test_case(case);
        }
        let mut report = quick_junit::Report::new("llmprove");
        report.set_time(seconds(self.seconds)).add_test_suite(suite);
        // Writing XML to memory fails for no text.
        report.to_string().unwrap_or_default()
    }
}
