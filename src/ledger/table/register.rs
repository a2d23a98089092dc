//! The register of corrections: who put which page, and why. Pages are found by their minute; the register finds them by the
//! name of the correction, and outlives them.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use tokio::time::Instant;

use super::attempts::{never_poison, no_retries, retried};
use super::{AUTHOR, DATA, Item, KEY, KIND, LedgerTable, REASON, SORT_KEY, SortKeys};
use crate::error::Error;
use crate::ledger::correction::Signature;
use crate::ledger::page::{Page, PageContent, PageKind};
use crate::usage::Segment;

/// A correction or void, as the register has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Who put it, why, and under which name.
    pub signature: Signature,
    /// What it is.
    pub kind: PageKind,
    /// Its page.
    pub page: Page,
    /// The content of the page.
    pub content: PageContent,
    /// Whether the page is known to have been put. It is also noted for the time after the page has expired.
    pub is_put: bool,
}

/// An audit entry: what a tool changed, and on whose behalf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// When, as RFC 3339 text, and a hash of the rest.
    pub id: String,
    /// Who changed it.
    pub author: String,
    /// What was changed, as JSON.
    pub text: String,
}

/// The prefix of the keys of registered corrections.
const CORRECTIONS: &str = "c#";
/// The prefix of the keys of audit entries.
const AUDITS: &str = "r#";
const MINUTE: &str = "minute";
const NAME: &str = "page";
const TEXT: &str = "text";
const IS_PUT: &str = "put";

impl LedgerTable {
    /// Registers a correction, unless its name is taken. Returns what then has the name.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub async fn register(
        &self,
        signature: &Signature,
        page: &Page,
        kind: &PageKind,
        deadline: Option<Instant>,
    ) -> Result<Registered, Error> {
        let doing = format!("register a correction in {} (dynamodb:PutItem)", self.name);
        self.put_new(&doing, self.register_item(signature, page, kind), deadline).await?;
        let missing = || Error::transient(format!("{doing}: it isn't there after it was put"));
        self.registered_as(&signature.id, deadline).await?.ok_or_else(missing)
    }

    fn register_item(&self, signature: &Signature, page: &Page, kind: &PageKind) -> Item {
        let [what, author, reason] = kind.texts();
        [
            (KEY, AttributeValue::S(format!("{CORRECTIONS}{}", self.pipeline))),
            (SORT_KEY, AttributeValue::S(signature.id.clone())),
            (KIND, AttributeValue::S(what.to_owned())),
            (AUTHOR, AttributeValue::S(author.to_owned())),
            (REASON, AttributeValue::S(reason.to_owned())),
            (MINUTE, AttributeValue::S(page.minute.text())),
            (NAME, AttributeValue::S(format!("{:016x}", page.name))),
            (DATA, AttributeValue::B(Blob::new(page.data.clone()))),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Notes that the page of a correction was put.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub async fn note_put(&self, registered: &Registered, deadline: Option<Instant>) -> Result<(), Error> {
        if registered.is_put {
            return Ok(());
        }
        let doing = format!("note in {} that a correction was put (dynamodb:PutItem)", self.name);
        let mut item = self.register_item(&registered.signature, &registered.page, &registered.kind);
        item.insert(IS_PUT.to_owned(), AttributeValue::Bool(true));
        retried(deadline, &doing, || async {
            let put = self.client.put_item().table_name(&self.name).set_item(Some(item.clone()));
            let sent = put.customize().config_override(no_retries()).send().await;
            sent.map(|_| ()).map_err(|error| never_poison(Error::from_sdk(&doing, &error)))
        })
        .await
    }

    /// The correction with this name, if there is one.
    ///
    /// # Errors
    /// If the table can't be read, or if the item is damaged.
    pub async fn registered_as(&self, id: &str, deadline: Option<Instant>) -> Result<Option<Registered>, Error> {
        let items = self.query(&format!("{CORRECTIONS}{}", self.pipeline), SortKeys::Prefix(id), deadline).await?;
        let is_it = |item: &&Item| item.get(SORT_KEY).and_then(|key| key.as_s().ok()).is_some_and(|key| key == id);
        items.iter().find(is_it).map(|item| self.read_registered(item)).transpose()
    }

    /// All corrections and voids of the pipeline, ordered by name.
    ///
    /// # Errors
    /// If the table can't be read, or if an item is damaged.
    pub async fn registered(&self, deadline: Option<Instant>) -> Result<Vec<Registered>, Error> {
        let items = self.query(&format!("{CORRECTIONS}{}", self.pipeline), SortKeys::All, deadline).await?;
        items.iter().map(|item| self.read_registered(item)).collect()
    }

    /// Stores an audit entry.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub async fn put_audit(&self, audit: &Audit, deadline: Option<Instant>) -> Result<(), Error> {
        let doing = format!("put an audit entry into {} (dynamodb:PutItem)", self.name);
        let texts = [
            (KEY, format!("{AUDITS}{}", self.pipeline)),
            (SORT_KEY, audit.id.clone()),
            (AUTHOR, audit.author.clone()),
            (TEXT, audit.text.clone()),
        ];
        let item = texts.map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).into();
        self.put_new(&doing, item, deadline).await
    }

    /// The audit entries of the pipeline, oldest first.
    ///
    /// # Errors
    /// If the table can't be read.
    pub async fn audits(&self, deadline: Option<Instant>) -> Result<Vec<Audit>, Error> {
        let items = self.query(&format!("{AUDITS}{}", self.pipeline), SortKeys::All, deadline).await?;
        Ok(items
            .iter()
            .map(|item| Audit { id: text(item, SORT_KEY), author: text(item, AUTHOR), text: text(item, TEXT) })
            .collect())
    }

    /// Puts an item, unless its key exists.
    pub(super) async fn put_new(&self, doing: &str, item: Item, deadline: Option<Instant>) -> Result<(), Error> {
        retried(deadline, doing, || async {
            let put = self
                .client
                .put_item()
                .table_name(&self.name)
                .set_item(Some(item.clone()))
                .condition_expression("attribute_not_exists(#pk)")
                .expression_attribute_names("#pk", KEY);
            match put.customize().config_override(no_retries()).send().await {
                Ok(_) => Ok(()),
                Err(SdkError::ServiceError(error))
                    if matches!(error.err(), PutItemError::ConditionalCheckFailedException(_)) =>
                {
                    Ok(())
                }
                Err(error) => Err(never_poison(Error::from_sdk(doing, &error))),
            }
        })
        .await
    }

    fn read_registered(&self, item: &Item) -> Result<Registered, Error> {
        let id = text(item, SORT_KEY);
        let damaged = |what: &str| Error::config(format!("read the correction {id} of {}: {what}", self.name));
        let signature = Signature { id: id.clone(), author: text(item, AUTHOR), reason: text(item, REASON) };
        let (author, reason) = (signature.author.clone(), signature.reason.clone());
        let kind = match &*text(item, KIND) {
            "correction" => PageKind::Correction(author, reason),
            "void" => PageKind::Void(author, reason),
            _ => return Err(damaged("it isn't a correction of this release")),
        };
        let data = item.get(DATA).and_then(|data| data.as_b().ok()).map(|data| data.clone().into_inner());
        let (Some(minute), Some(name), Some(data)) =
            (Segment::parse(&text(item, MINUTE)), super::page_name(&text(item, NAME)), data)
        else {
            return Err(damaged("it isn't a correction of this release"));
        };
        let content = PageContent::read(&data, &kind, name).map_err(|what| damaged(&what.to_string()))?;
        let is_put = item.get(IS_PUT).and_then(|put| put.as_bool().ok()).copied().unwrap_or_default();
        Ok(Registered { signature, kind, page: Page { minute, name, data, records: Vec::new() }, content, is_put })
    }
}

fn text(item: &Item, name: &str) -> String {
    item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}
