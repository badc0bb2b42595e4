//! What every subcommand shares: the data directory, the cluster, and whether output is JSON.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use etcetera::{BaseStrategy, choose_base_strategy};
use miette::{IntoDiagnostic, Report, WrapErr, miette};

use crate::broker::client::Client;
use crate::broker::config::{Config, EMBEDDED};
use crate::broker::embedded::Embedded;
use crate::broker::profile::{Access, Profile};
use crate::demo::text::Language;
use crate::readmodel::store::Store;
use crate::replay::notify::Webhook;
use crate::sink::address::{Address, Feeding};

use super::format::Format;
use super::{Cli, Lang};

/// The environment's names for where alerts are told, and for a header that is wanted there.
pub(super) const WEBHOOK: &str = "FOLDLOG_WEBHOOK";
pub(super) const WEBHOOK_HEADER: &str = "FOLDLOG_WEBHOOK_HEADER";
/// A store that every follow feeds.
pub(super) const SINK: &str = "FOLDLOG_SINK";

/// Where commands find the data directory and the cluster.
#[derive(Debug, Clone)]
pub struct Context {
    data: PathBuf,
    json: bool,
    target: Target,
    confirm: Option<String>,
    lang: Option<Lang>,
}

/// Which cluster the flags name.
#[derive(Debug, Clone)]
enum Target {
    Embedded,
    Cluster(Profile),
}

/// A client together with the embedded broker that it needs, if any; the broker lives as long as this does.
#[derive(Debug)]
pub struct Connection {
    /// The client.
    pub client: Client,
    /// The read models of the client's cluster.
    pub store: Store,
    /// The embedded broker, where the cluster is that.
    pub embedded: Option<Embedded>,
}

impl Context {
    /// Reads the global flags and the configuration file.
    pub fn new(cli: &Cli) -> miette::Result<Self> {
        let data = match cli.data.as_ref().filter(|data| !data.as_os_str().is_empty()) {
            Some(data) => data.clone(),
            None => data_home()?.join("foldlog"),
        };
        // The system would say only that something exists, or that something in it cannot be read.
        if data.metadata().is_ok_and(|found| !found.is_dir()) {
            return Err(miette!(
                "the data directory {} is a file, not a folder; choose another with --data DIR",
                data.display()
            ));
        }
        // Read here and not by the parser, which would take it for a flag that contradicts `-c`.
        let address = cli.bootstrap.clone().or_else(|| env::var("FOLDLOG_BOOTSTRAP").ok());
        let target = match (&cli.cluster, address) {
            (Some(name), _) => {
                let config = Config::read(&config_file()?).into_diagnostic()?;
                Target::Cluster(config.cluster(name).into_diagnostic()?)
            }
            (None, Some(address)) if !address.trim().is_empty() => Target::Cluster(unnamed(&address)),
            _ => Target::Embedded,
        };
        Ok(Self {
            data,
            json: cli.output.map_or(cli.json, |format| format == Format::Json),
            target,
            confirm: cli.confirm.clone(),
            lang: cli.lang,
        })
    }

    /// The language of the studio, of demos and of lessons: the flag's, or else that of the configuration file, or of the locale.
    pub fn language(&self) -> miette::Result<Language> {
        if let Some(lang) = self.lang {
            return Ok(match lang {
                Lang::En => Language::English,
                Lang::Zh => Language::Chinese,
            });
        }
        // Without a home directory there is no configuration, which is no reason to do nothing at all.
        let configured = match config_file() {
            Ok(path) => Config::read(&path).into_diagnostic()?.language(),
            Err(_) => None,
        };
        Ok(configured.map_or_else(Language::of_environment, Language::of_locale))
    }

    /// The stores that projections feed: those of the configuration file, and for all of them those that are given here.
    pub fn feeding(&self, given: &[String]) -> miette::Result<Feeding> {
        // Where nobody has a home nobody has a file there.
        let config = match config_file() {
            Ok(file) => Config::read(&file).into_diagnostic()?,
            Err(_) => Config::default(),
        };
        let parsed = |texts: &[String]| -> miette::Result<Vec<Address>> {
            texts
                .iter()
                .map(|text| Address::parse(text).map_err(Report::new))
                .collect()
        };
        let own = config
            .projection_sinks()
            .map(|(name, sinks)| Ok((name.to_owned(), parsed(sinks)?)));
        let mut every = parsed(config.sinks(self.cluster_name()))?;
        every.extend(parsed(given)?);
        Ok(Feeding {
            every,
            own: own.collect::<miette::Result<_>>()?,
        })
    }

    fn cluster_name(&self) -> &str {
        match &self.target {
            Target::Embedded => EMBEDDED,
            Target::Cluster(profile) => &profile.name,
        }
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Whether `-o json` or `--json` was given.
    pub fn json(&self) -> bool {
        self.json
    }

    /// What the cluster that the flags name is called, with an address of it where its name is not that.
    pub fn cluster(&self) -> String {
        match &self.target {
            Target::Embedded => EMBEDDED.to_owned(),
            Target::Cluster(profile) if profile.name == profile.bootstrap => profile.name.clone(),
            Target::Cluster(profile) => {
                let first = profile.bootstrap.split(',').next().unwrap_or_default();
                format!("{} at {}", profile.name, first.trim())
            }
        }
    }

    /// Whether the cluster is the embedded broker.
    pub fn is_embedded(&self) -> bool {
        matches!(self.target, Target::Embedded)
    }

    /// Connects to the cluster that the flags name, starting or attaching to the embedded broker where they name none.
    pub fn connect(&self) -> miette::Result<Connection> {
        let (client, embedded) = match &self.target {
            Target::Cluster(profile) => (Client::new(profile.clone()), None),
            Target::Embedded => {
                fs::create_dir_all(&self.data).into_diagnostic().wrap_err_with(|| {
                    format!(
                        "cannot make the data directory {}; choose another with --data",
                        self.data.display()
                    )
                })?;
                let embedded = Embedded::open(&self.data, None).into_diagnostic()?;
                (embedded.client(), Some(embedded))
            }
        };
        let mut client = client.into_diagnostic()?;
        if let Some(name) = &self.confirm {
            client = client.confirm(name).into_diagnostic()?;
        }
        Ok(Connection {
            client,
            store: self.store()?,
            embedded,
        })
    }

    /// Where alerts are told: as the flags say, else the environment, else the configuration file.
    pub fn webhook(&self, url: Option<&str>, header: Option<&str>) -> miette::Result<Option<Webhook>> {
        let said = |text: &str| (!text.trim().is_empty()).then(|| text.to_owned());
        let of_environment = |name| env::var(name).ok();
        let url = url.map(str::to_owned).or_else(|| of_environment(WEBHOOK));
        let header = header.map(str::to_owned).or_else(|| of_environment(WEBHOOK_HEADER));
        if let Some(url) = url.as_deref().and_then(said) {
            let header = header.as_deref().and_then(said);
            return Webhook::new(&url, header.as_deref()).into_diagnostic().map(Some);
        }
        let config = Config::read(&config_file()?).into_diagnostic()?;
        let webhook = config
            .webhook()
            .map(|said| Webhook::new(&said.url, said.header.as_deref()));
        webhook.transpose().into_diagnostic().wrap_err("config.toml, [webhook]")
    }

    /// The same for who only reads there: `--confirm` is about another cluster.
    #[must_use]
    pub fn reading_only(&self) -> Self {
        Self {
            confirm: None,
            ..self.clone()
        }
    }

    /// A client of another cluster than the one that the flags of every command name: at an address, or called so in
    /// config.toml.
    pub fn other(&self, address: Option<&str>, name: Option<&str>) -> miette::Result<Client> {
        let profile = match (name, address) {
            (Some(name), _) => {
                let config = Config::read(&config_file()?).into_diagnostic()?;
                config.cluster(name).into_diagnostic()?
            }
            (None, address) => unnamed(address.unwrap_or_default()),
        };
        let client = Client::new(profile).into_diagnostic()?;
        match &self.confirm {
            Some(name) => client.confirm(name).into_diagnostic(),
            None => Ok(client),
        }
    }

    /// The read models of the cluster that the flags name, without connecting to it.
    pub fn store(&self) -> miette::Result<Store> {
        Store::open(&self.data, self.cluster_name()).into_diagnostic()
    }
}

/// The profile of an address without a name. The address is the name, so that two of them keep their read models apart.
fn unnamed(bootstrap: &str) -> Profile {
    Profile {
        name: bootstrap.trim().to_owned(),
        bootstrap: bootstrap.trim().to_owned(),
        properties: Default::default(),
        access: Access::ReadWrite,
    }
}

fn data_home() -> miette::Result<PathBuf> {
    let strategy = choose_base_strategy()
        .map_err(|_| miette!("there is no home directory to keep data in; say where with --data DIR"))?;
    Ok(strategy.data_dir())
}

/// Where the configuration file is, or would be.
pub(super) fn config_file() -> miette::Result<PathBuf> {
    let strategy = choose_base_strategy()
        .map_err(|_| miette!("there is no home directory to look for config.toml in; use -b HOST:PORT"))?;
    Ok(strategy.config_dir().join("foldlog").join("config.toml"))
}
