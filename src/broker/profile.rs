//! Which cluster to talk to and how: the address, librdkafka's properties, and what may be done there.

use std::collections::BTreeMap;
use std::fmt;

/// What may be done to a cluster from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Everything is allowed.
    #[default]
    ReadWrite,
    /// Nothing is written: no record, no topic, no group offset.
    ReadOnly,
    /// Writing is asked for by name first; the screen shows where one is.
    Production,
}

/// One cluster as the client connects to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name shown to people; also names the folder of this cluster's read models.
    pub name: String,
    /// `host:port[,host:port...]`.
    pub bootstrap: String,
    /// librdkafka properties passed through as they are. They may hold secrets: never shown or logged.
    pub properties: BTreeMap<String, String>,
    /// What may be done there.
    pub access: Access,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names of the properties are harmless, their values may be secrets.
        f.debug_struct("Profile")
            .field("name", &self.name)
            .field("bootstrap", &self.bootstrap)
            .field("properties", &self.properties.keys())
            .field("access", &self.access)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_property_value() {
        let profile = Profile {
            name: "prod".into(),
            bootstrap: "kafka:9092".into(),
            properties: BTreeMap::from([("sasl.password".into(), "hunter2".into())]),
            access: Access::Production,
        };
        let shown = format!("{profile:?}");
        assert!(shown.contains("sasl.password"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
