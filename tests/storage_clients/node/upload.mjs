// One file by one client: node upload.mjs <tus-js-client|uppy> <endpoint> <path> <workspace id>
// The token is in PM_TOKEN. Prints the upload's address.
import { createReadStream, statSync } from 'node:fs'

import Uppy from '@uppy/core'
import Tus from '@uppy/tus'
import * as tus from 'tus-js-client'

const [client, endpoint, path, workspaceId] = process.argv.slice(2)
const headers = { Authorization: `Bearer ${process.env.PM_TOKEN}` }
const retryDelays = [0, 50, 200, 500, 1000, 2000, 4000]
const size = statSync(path).size

// Uppy expects a browser's request object to set `withCredentials` on; node's stack has none at that time.
class NodeStack {
  #inner = new tus.DefaultHttpStack({})

  createRequest(method, url) {
    const request = this.#inner.createRequest(method, url)
    const underlying = request.getUnderlyingObject.bind(request)
    request.getUnderlyingObject = () => underlying() ?? {}
    return request
  }

  getName() {
    return 'NodeStack'
  }
}

function bySelf() {
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(createReadStream(path), {
      endpoint,
      headers,
      retryDelays,
      uploadSize: size,
      metadata: { filename: 'by-tus-js-client.bin', filetype: 'application/octet-stream', workspaceId },
      onError: reject,
      onSuccess: () => resolve(upload.url),
    })
    upload.start()
  })
}

async function byUppy() {
  const uppy = new Uppy({ autoProceed: false })
  uppy.use(Tus, {
    endpoint,
    headers,
    retryDelays,
    storeFingerprintForResuming: false,
    allowedMetaFields: true,
    httpStack: new NodeStack(),
  })
  const data = createReadStream(path)
  data.size = size
  uppy.addFile({ name: 'by-uppy.bin', type: 'application/octet-stream', data, meta: { workspaceId } })
  const { successful, failed } = await uppy.upload()
  if (successful.length !== 1) {
    throw failed[0]?.error ?? new Error('uppy gave up')
  }
  return successful[0].response.uploadURL
}

const address = await (client === 'uppy' ? byUppy() : bySelf())
console.log(address)
