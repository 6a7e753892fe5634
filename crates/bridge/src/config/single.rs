//! A layer of configuration with one value.

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

/// One value from the environment, the command line or a context.
pub(super) struct Single {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) value: Value,
}

impl Provider for Single {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        let dict = nested.into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}
