//! A demo's flow as a graph: services write topics, processors read them and keep stores. The edges follow from what each
//! reads and writes; nobody draws them by hand.

use super::catalog::Demo;
use super::sinks;
use super::text::Text;

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Writes events.
    Service,
    /// Keeps them.
    Topic,
    /// Reads them in its consumer group; or carries them on: a mirror, a log agent.
    Processor,
    /// A read model.
    Store,
    /// A store outside, which is fed from a read model or a topic.
    Sink,
}

/// A part of the scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name, unique among parts of its kind.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What it is called where its records are: the topic, the read model, the consumer group of a processor; empty for what
    /// nobody on the cluster knows: a service, a mirror, a log agent.
    pub id: String,
    /// What it is called; its name where nothing is said.
    pub title: Text,
    /// Column and row where the demo wants it drawn.
    pub at: Option<[u16; 2]>,
}

/// Records flow from one part to another; both are places in [`Graph::parts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Where they come from.
    pub from: usize,
    /// Where they go.
    pub to: usize,
}

/// The whole flow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// Services, topics, processors, stores, sinks, in this order.
    pub parts: Vec<Part>,
    /// What flows.
    pub edges: Vec<Edge>,
}

impl Graph {
    /// Where a part is in the list.
    pub fn find(&self, kind: Kind, name: &str) -> Option<usize> {
        self.parts
            .iter()
            .position(|part| part.kind == kind && part.name == name)
    }

    /// The flow of a demo.
    pub fn of(demo: &Demo) -> Self {
        let mut graph = Self::default();
        for service in &demo.services {
            graph.add(Kind::Service, &service.name, "", &service.title, service.at);
        }
        for (topic, drawn) in demo.topics.iter().zip(&demo.topics_drawn) {
            graph.add(Kind::Topic, &topic.name, &topic.name, &drawn.0, drawn.1);
        }
        for agent in &demo.agents {
            graph.add(Kind::Processor, &agent.name, "", &agent.title, agent.at);
        }
        for processor in &demo.processors {
            let (name, group) = (&processor.name, &processor.group);
            graph.add(Kind::Processor, name, group, &processor.title, processor.at);
        }
        for mirror in &demo.mirrors {
            graph.add(Kind::Processor, &mirror.name, "", &mirror.title, mirror.at);
        }
        for (projection, drawn) in demo.projections.iter().zip(&demo.projections_drawn) {
            let name = &projection.name;
            graph.add(Kind::Store, name, name, &drawn.0, drawn.1);
        }
        for processor in &demo.processors {
            let (title, at) = &processor.store;
            let name = &processor.projection.name;
            graph.add(Kind::Store, name, name, title, *at);
        }
        for mirror in &demo.mirrors {
            graph.add(Kind::Store, &mirror.name, "", &mirror.store.0, mirror.store.1);
        }
        for (service, topic) in demo.writes() {
            graph.join((Kind::Service, service), (Kind::Topic, topic));
        }
        for (service, agent) in demo.logs() {
            graph.join((Kind::Service, service), (Kind::Processor, agent));
        }
        for agent in &demo.agents {
            graph.join((Kind::Processor, &agent.name), (Kind::Topic, &agent.topic));
        }
        for projection in &demo.projections {
            for topic in &projection.topics {
                graph.join((Kind::Topic, topic), (Kind::Store, &projection.name));
            }
        }
        for processor in &demo.processors {
            for topic in &processor.projection.topics {
                graph.join((Kind::Topic, topic), (Kind::Processor, &processor.name));
            }
            for emit in &processor.projection.emits {
                graph.join((Kind::Processor, &processor.name), (Kind::Topic, &emit.topic));
            }
            graph.join(
                (Kind::Processor, &processor.name),
                (Kind::Store, &processor.projection.name),
            );
        }
        for mirror in &demo.mirrors {
            for topic in &mirror.topics {
                graph.join((Kind::Topic, &demo.topic(topic)), (Kind::Processor, &mirror.name));
            }
            graph.join((Kind::Processor, &mirror.name), (Kind::Store, &mirror.name));
        }
        sinks::draw(demo, &mut graph);
        graph
    }

    pub(super) fn add(&mut self, kind: Kind, name: &str, id: &str, title: &Text, at: Option<[u16; 2]>) {
        let title = if title.is_empty() {
            Text {
                en: Some(name.to_owned()),
                zh: None,
            }
        } else {
            title.clone()
        };
        self.parts.push(Part {
            name: name.to_owned(),
            kind,
            id: id.to_owned(),
            title,
            at,
        });
    }

    pub(super) fn join(&mut self, from: (Kind, &str), to: (Kind, &str)) {
        if let (Some(from), Some(to)) = (self.find(from.0, from.1), self.find(to.0, to.1)) {
            let edge = Edge { from, to };
            if !self.edges.contains(&edge) {
                self.edges.push(edge);
            }
        }
    }
}
