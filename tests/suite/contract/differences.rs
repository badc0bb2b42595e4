//! Where the embedded broker is not Apache Kafka, on purpose: the one place that names it. Every other test holds for both.

use crate::common::cluster::{Cluster, Kind};

/// Something that only one of the two does.
#[derive(Debug, Clone, Copy)]
pub struct Difference {
    /// Who does it.
    only: Kind,
    /// What it is, and what the other does instead.
    what: &'static str,
}

impl Difference {
    /// Whether the cluster does it.
    pub fn holds(&self, cluster: &Cluster) -> bool {
        cluster.kind == self.only
    }
}

/// Transactions. The embedded broker refuses a transactional producer when it begins.
pub const TRANSACTIONS: Difference = Difference {
    only: Kind::Kafka,
    what: "transactional producers; the embedded broker refuses them at InitProducerId",
};

/// The group protocol of KIP-848. The embedded broker serves the classic one, which every client speaks.
pub const NEW_GROUP_PROTOCOL: Difference = Difference {
    only: Kind::Kafka,
    what: "group.protocol=consumer (KIP-848); the embedded broker serves the classic protocol",
};

#[test]
fn every_difference_says_what_it_is() {
    for difference in [TRANSACTIONS, NEW_GROUP_PROTOCOL] {
        assert!(difference.what.len() > 20, "{difference:?}");
    }
}
