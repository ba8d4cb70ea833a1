'use strict'
// The camera page: it uploads pictures, performs the task of a BWS token, and goes back to where the browser came from. It
// reads everything from its address, writes nothing but text into the document, and trusts no claim with more than what to show.

const element = id => document.getElementById(id)
const query = new URLSearchParams(location.search)
const token = query.get('access_token') ?? ''
const returnURL = query.get('return_url') ?? ''
const state = query.get('state') ?? ''
// Whether to begin without a press of Start. BioID's page gives the parameter back since 2020 (documented); here the newer path does.
const skipIntro = query.get('skipintro') === 'true'
const ending = location.pathname.endsWith('/uui') ? `&skipintro=${skipIntro}` : ''
const endpoint = document.body.dataset.endpoint

// The kinds of a task, by its bits (documented).
const kinds = {
  0x00: { api: 'verify', title: 'Verify yourself', done: 'You were recognized.' },
  0x10: { api: 'identify', title: 'Show who you are', done: 'The search is done.' },
  0x20: {
    api: 'enroll', title: 'Enroll yourself', done: 'You are enrolled.',
    // A failed enrollment always has an error (documented).
    yes: 'Enrolled', no: 'Not enrolled', error: 'NotEnoughSamples'
  },
  0x80: { api: 'livenessdetection', title: 'Show that you are alive', done: 'You are alive.', yes: 'Live' }
}

const prompts = {
  any: 'Look into the camera.',
  up: 'Turn your head up.', down: 'Turn your head down.', left: 'Turn your head left.', right: 'Turn your head right.'
}
const arrows = { any: '', up: '↑', down: '↓', left: '←', right: '→' }

// What to say about errors of the service, an open set. NotRecognized is the page's own, for a failure without one (observed).
const phrases = new Map(Object.entries({
  NotRecognized: 'You were not recognized.',
  LiveDetectionFailed: 'Live detection failed: the camera must see a living person.',
  ChallengeResponseFailed: 'Your head movements did not match.',
  NoTemplateAvailable: 'You are not enrolled.',
  NotEnoughSamples: 'The camera did not see enough.',
  ExecutionOfJobTimedOut: 'The service is too busy.',
  NoFaceFound: 'No face was found. Look into the camera.',
  MultipleFacesFound: 'More than one face was found. Be alone before the camera.',
  Unauthorized: 'This link has expired, or is not valid.',
  Forbidden: 'The tries for this link are used up.'
}))
const phrase = error => phrases.get(error) ?? 'That did not work.'

const maxUploads = 20 // for one try; there BioID's page goes back (observed), this one lets the person try again
const moment = 1000 // ms, to read a prompt and to follow it

let task, stream
let tries = 0
let busy = false
let asking = false
const left = new AbortController() // aborted as soon as the page goes back

const say = text => { element('status').textContent = text }
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

// readTask returns what the claims of the token demand, and fails if it is no token.
function readTask() {
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) throw new Error('not a token')
  const payload = atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'))
  const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(payload, c => c.charCodeAt(0))))
  const bits = claims.task
  if (!Number.isInteger(bits) || !Object.hasOwn(kinds, bits & 0xf0)) throw new Error('no task')
  const kind = kinds[bits & 0xf0]
  const live = bits & 0x180
  // The claim is a string with JSON in it, an array of directions for each try (observed).
  const challenges = bits & 0x200 ? JSON.parse(claims.challenge ?? '[]') : []
  if (challenges.flat().some(direction => !Object.hasOwn(prompts, direction))) throw new Error('unknown direction')
  return {
    ...kind,
    challenges,
    tries: bits & 0x0f || 3,
    // How many pictures a try takes (observed; which of 4 and 3 an enrollment takes when is inferred).
    pictures: kind.api === 'enroll' ? (live ? 4 : 3) : (live ? 2 : 1),
    traits: ['Face', 'Periocular'].filter((_, bit) => (claims.traits || 3) >> bit & 1).join()
  }
}

// leave goes back as BioID's page does: always with "?", and without any encoding (documented).
function leave(parameters) {
  if (left.signal.aborted) return
  left.abort()
  stream?.getTracks().forEach(track => track.stop())
  location.href = `${returnURL}?${parameters}`
}

// leaveSoon gives time to read why, and a button for those who have read it.
async function leaveSoon(text, parameters, ms) {
  say(`${text}\nYou are taken back to ${new URL(returnURL).host}.`)
  element('cancel').textContent = 'Go back now'
  element('cancel').onclick = () => leave(parameters)
  await sleep(ms)
  leave(parameters)
}

const succeed = () => leaveSoon(task.done, `access_token=${token}&state=${state}${ending}`, moment)
const fail = error => leaveSoon(phrase(error), `access_token=${token}&error=${error}&state=${state}${ending}`, 2 * moment)
const cancel = () => leave(`error=user_abort&access_token=${token}&state=${state}`)

// call calls an API with the token. It throws what to say or, if there is no use in going on, the error to go back with.
async function call(path, init) {
  const response = await fetch(`${endpoint}/${path}`, {
    ...init,
    headers: { Authorization: `Bearer ${token}`, ...init?.headers },
    credentials: 'omit',
    signal: left.signal
  })
  if (response.status === 401) throw { error: 'Unauthorized' }
  if (response.status === 403) throw { error: 'Forbidden' }
  if (!response.ok) throw { text: 'The service did not accept that.' }
  return response.status === 204 ? null : response.json()
}

// picture returns what the camera sees as a data URL or, without a camera, some small picture.
function picture(camera) {
  const canvas = document.createElement('canvas')
  const context = canvas.getContext('2d')
  if (!camera) {
    canvas.width = canvas.height = 16
    context.fillRect(4, 4, 8, 8)
  } else {
    const video = element('video')
    const scale = Math.min(1, 640 / video.videoWidth)
    canvas.width = video.videoWidth * scale
    canvas.height = video.videoHeight * scale
    context.drawImage(video, 0, 0, canvas.width, canvas.height)
  }
  return canvas.toDataURL('image/png')
}

// uploadPictures sends the pictures of one try. A challenge begins with one straight ahead (observed).
async function uploadPictures(camera) {
  const directions = task.challenges.length ? task.challenges[tries % task.challenges.length] : []
  const tags = directions.length ? ['any', ...directions] : Array(task.pictures).fill('any')
  for (let i = 0, uploads = 0; i < tags.length; uploads++) {
    if (uploads === maxUploads) throw { text: 'None of the last pictures could be used.' }
    say(`${prompts[tags[i]]}\nPicture ${i + 1} of ${tags.length}.`)
    element('arrow').textContent = arrows[tags[i]]
    if (camera) await sleep(moment)
    const init = { method: 'POST', body: picture(camera), headers: { 'Content-Type': 'text/plain' } }
    const answer = await call(`upload?tag=${tags[i]}&index=${i + 1}&trait=${task.traits}`, init)
    if (answer.Accepted) {
      i++
    } else {
      say(phrase(answer.Error))
      if (camera) await sleep(moment)
    }
  }
}

// perform makes one try: with the outcome if one was chosen, else with the camera. It says how the try ended, and reports whether
// another one may follow.
async function perform(outcome) {
  await uploadPictures(!outcome)
  say('One moment.')
  if (outcome) {
    const init = { method: 'POST', body: JSON.stringify({ token, ...outcome }), headers: { 'Content-Type': 'application/json' } }
    await call('emulator/outcome', init)
  }
  const result = await call(task.api)
  tries++
  if (result.Success) return succeed()
  const error = result.Error || 'NotRecognized'
  const triesLeft = task.tries - tries
  if (error === 'NoTemplateAvailable' || triesLeft <= 0) return fail(error)
  say(`${phrase(error)}\n${triesLeft === 1 ? 'One try is' : `${triesLeft} tries are`} left.`)
  return true
}

async function attempt(outcome) {
  if (busy) return
  show(true)
  try {
    if (!await perform(outcome)) return
  } catch (problem) {
    if (left.signal.aborted) return
    if (problem.error) return fail(problem.error)
    say(`${problem.text ?? 'The service cannot be reached.'} Please try again.`)
  }
  show(false)
  if (skipIntro && !outcome && stream) setTimeout(attempt, 2 * moment)
}

// show brings the document up to date. A button that does nothing now keeps the focus, so that the keyboard stays where it is.
function show(working) {
  busy = working
  document.body.classList.toggle('busy', busy)
  element('stage').classList.toggle('empty', !stream)
  element('video').hidden = !stream
  element('arrow').textContent = ''
  element('start').textContent = !stream ? 'Use the camera' : tries ? 'Try again' : 'Start'
  for (const button of document.querySelectorAll('button:not(#cancel)')) button.setAttribute('aria-disabled', busy)
}

async function openCamera() {
  if (busy || asking) return
  asking = true
  const question = 'Allow this page to use your camera, please.'
  // Whoever did not answer may have made a try without the camera meanwhile: what was said of that stays.
  const inform = text => { if (element('status').textContent === question) say(text) }
  say(question)
  try {
    // Missing where the page is neither on https nor on this machine.
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'user', width: { ideal: 640 } } })
    stream.getVideoTracks()[0].onended = () => {
      closeCamera()
      if (!busy) say('The camera is gone.')
    }
    element('video').srcObject = stream
    await element('video').play()
  } catch {
    closeCamera()
    inform('There is no camera that this page may use.')
    return
  } finally {
    asking = false
  }
  if (busy) return
  show(false)
  if (skipIntro) attempt()
  else inform('Look into the camera and press Start.')
}

function closeCamera() {
  stream?.getTracks().forEach(track => track.stop())
  stream = undefined
  if (!busy) show(false)
}

// choose makes a button end the next operation with an outcome. There is such a button only if the service is the emulator.
function choose(id, label, outcome) {
  const button = element(id)
  if (!button) return
  button.hidden = !label
  button.textContent = label
  button.onclick = () => attempt(outcome)
}

function begin() {
  show(false)
  try {
    task = readTask()
    if (!/^https?:\/\//i.test(returnURL)) throw new Error('not a web address')
    new URL(returnURL)
  } catch {
    element('title').textContent = 'This link does not work'
    say(task ? 'It does not say where to return to.' : 'It lacks a valid token. Go back and start once more.')
    return
  }
  document.title = element('title').textContent = task.title
  choose('recognized', task.yes ?? 'Recognized', { success: true })
  choose('not-recognized', task.no ?? (task.yes ? '' : 'Not recognized'), { success: false, error: task.error })
  choose('not-live', 'Not live', { success: false, error: 'LiveDetectionFailed' })
  element('start').onclick = () => stream ? attempt() : openCamera()
  element('cancel').onclick = cancel
  element('actions').hidden = false
  if (element('choices')) element('choices').hidden = false
  openCamera()
}

// A page that the browser brings back as it was left could do nothing any more: start anew.
addEventListener('pageshow', event => { if (event.persisted) location.reload() })
begin()
