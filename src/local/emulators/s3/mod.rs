//! The embedded S3: s3s-fs behind a lock, because by itself it lets several conditional writers of a key win, and a GET
//! during an overwrite fail.
//!
//! A folder is the store, object for file, with a folder's limits: keys `a` and `a/b` can't both exist, and bucket and
//! key together have at most about 168 bytes. One process per folder.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Request, S3Response, S3Result, dto, s3_error};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::sync::RwLock;

use super::clients::{ACCESS_KEY, SECRET_KEY};

mod limits;

/// Opens the store in `folder`, which is created if need be.
pub(super) fn open(folder: &Path) -> anyhow::Result<S3Service> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let Ok(files) = FileSystem::new(folder) else {
        anyhow::bail!("{} can't be opened as an object store", folder.display());
    };
    let mut service = S3ServiceBuilder::new(LockedFiles(Arc::new(RwLock::new(files))));
    service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    service.set_access(limits::Limits { folder: folder.to_owned() });
    Ok(service.build())
}

/// Serves `service` over HTTP until the runtime ends.
pub(super) async fn serve(listener: TcpListener, service: S3Service) {
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "the embedded S3 could not accept a connection");
                continue;
            }
        };
        let service = service.clone();
        tokio::spawn(async move {
            let connection = Builder::new(TokioExecutor::new());
            if let Err(error) = connection.serve_connection(TokioIo::new(socket), service).await {
                // A client that went away: what the fault injection does on purpose.
                tracing::debug!(%error, "a connection to the embedded S3 ended early");
            }
        });
    }
}

/// Many readers or one writer at a time. A read's lock ends with the response's headers: the open file outlives an
/// overwrite, which is a rename.
struct LockedFiles(Arc<RwLock<FileSystem>>);

macro_rules! locked {
    (
        read { $($read:ident: $read_in:ident -> $read_out:ident,)* }
        write { $($write:ident: $write_in:ident -> $write_out:ident,)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for LockedFiles {
            $(async fn $read(&self, request: S3Request<dto::$read_in>) -> S3Result<S3Response<dto::$read_out>> {
                self.0.read().await.$read(request).await
            })*

            // In a task of its own, so that a client that goes away can't leave half of the effect behind.
            $(async fn $write(&self, request: S3Request<dto::$write_in>) -> S3Result<S3Response<dto::$write_out>> {
                let files = Arc::clone(&self.0).write_owned().await;
                let effect = tokio::spawn(async move { files.$write(request).await });
                effect.await.map_err(|_| s3_error!(InternalError))?
            })*
        }
    };
}

locked! {
    read {
        get_bucket_location: GetBucketLocationInput -> GetBucketLocationOutput,
        get_object: GetObjectInput -> GetObjectOutput,
        head_bucket: HeadBucketInput -> HeadBucketOutput,
        head_object: HeadObjectInput -> HeadObjectOutput,
        list_buckets: ListBucketsInput -> ListBucketsOutput,
        list_objects: ListObjectsInput -> ListObjectsOutput,
        list_objects_v2: ListObjectsV2Input -> ListObjectsV2Output,
        list_parts: ListPartsInput -> ListPartsOutput,
    }
    write {
        abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput,
        complete_multipart_upload: CompleteMultipartUploadInput -> CompleteMultipartUploadOutput,
        copy_object: CopyObjectInput -> CopyObjectOutput,
        create_bucket: CreateBucketInput -> CreateBucketOutput,
        create_multipart_upload: CreateMultipartUploadInput -> CreateMultipartUploadOutput,
        delete_bucket: DeleteBucketInput -> DeleteBucketOutput,
        delete_object: DeleteObjectInput -> DeleteObjectOutput,
        delete_objects: DeleteObjectsInput -> DeleteObjectsOutput,
        put_object: PutObjectInput -> PutObjectOutput,
        upload_part: UploadPartInput -> UploadPartOutput,
        upload_part_copy: UploadPartCopyInput -> UploadPartCopyOutput,
    }
}

#[cfg(test)]
mod tests;
