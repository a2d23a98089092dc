//! The embedded S3: s3s-fs behind a lock. Without the lock, several conditional writers of one key succeed, and a GET
//! during an overwrite fails.
//!
//! Objects are files in a folder, which limits them: keys `a` and `a/b` can't both exist, and bucket and key together
//! have at most about 168 bytes. Only one process may use a folder.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Request, S3Response, S3Result, dto, s3_error};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::sync::RwLock;

mod limits;
mod signed;

use super::programs_only;
use signed::Refusal;
#[cfg(feature = "fuzzing")]
pub(super) use signed::{chunked_bytes, unsigned_url};

/// Opens the store in `folder`, and creates the folder if necessary.
pub(super) fn open(folder: &Path) -> anyhow::Result<S3Service> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let Ok(files) = FileSystem::new(folder) else {
        anyhow::bail!("open the object store in {}: it isn't a usable folder", folder.display());
    };
    let mut service = S3ServiceBuilder::new(LockedFiles(Arc::new(RwLock::new(files))));
    // s3s consults `Limits` only if it also verifies signatures, of which `signed` leaves none.
    service.set_auth(SimpleAuth::new());
    service.set_access(limits::Limits { folder: folder.to_owned() });
    Ok(service.build())
}

/// Serves `service` over HTTP until the runtime ends.
pub(super) async fn serve(listener: TcpListener, service: S3Service) {
    let service = programs_only(Router::new().fallback(answer).with_state(service));
    if let Err(error) = axum::serve(listener, service).await {
        tracing::error!(%error, "the embedded S3 stopped");
    }
}

async fn answer(State(service): State<S3Service>, request: Request) -> Response {
    match signed::unsigned(request).await {
        Ok(request) => match service.call(request).await {
            Ok(response) => response.into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")).into_response(),
        },
        Err(Refusal { status, code, message }) => {
            let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
            (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
        }
    }
}

/// Many readers or one writer at a time. A read releases its lock before its body is sent: the file stays open, and an
/// overwrite is a rename.
struct LockedFiles(Arc<RwLock<FileSystem>>);

macro_rules! locked {
    (
        read { $($read:ident: $read_in:ident -> $read_out:ident,)* }
        list { $($list:ident: $list_in:ident -> $list_out:ident,)* }
        write { $($write:ident: $write_in:ident -> $write_out:ident,)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for LockedFiles {
            $(async fn $read(&self, request: S3Request<dto::$read_in>) -> S3Result<S3Response<dto::$read_out>> {
                self.0.read().await.$read(request).await
            })*

            // s3s-fs says that it encoded the keys when it didn't, and clients decode them: `a+b` would become `a b`.
            $(async fn $list(&self, mut request: S3Request<dto::$list_in>) -> S3Result<S3Response<dto::$list_out>> {
                request.input.encoding_type = None;
                self.0.read().await.$list(request).await
            })*

            // In its own task, so that a client that disconnects can't leave a write half done.
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
        list_parts: ListPartsInput -> ListPartsOutput,
    }
    list {
        list_objects: ListObjectsInput -> ListObjectsOutput,
        list_objects_v2: ListObjectsV2Input -> ListObjectsV2Output,
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
