"""What the local model says, and the words that it reads as one token."""

REPLIES = [
    "This is the local test model. I run on this machine and cost nothing, and I know nothing: "
    "every answer of mine is one of a few fixed sentences. They show that the way from your agent "
    "to a model works. For real answers, an administrator adds a provider.",
    "Your message arrived. I am the local test model, so I cannot think about it: I only have a few "
    "sentences, and this is one of them. Ask an administrator for a model of a provider, and the same "
    "conversation goes on with it.",
    "Hello from the local test model. Everything between you and me works, and I am the simplest "
    "thing at the end of it. A model of a provider will say more.",
]

COMMON = (
    "the of and to in is that for it as with be by on not this are or from at which an if can will all "
    "has have do does when use used using only never always must should may your you user agent model "
    "tool tools message messages session file files path name type string object array number boolean "
    "integer description properties required additionalProperties function parameters default enum "
    "items value values optional true false null command run running time date text content image "
    "system assistant OpenClaw workspace memory skill skills read write edit exec process browser "
    "search fetch web url http https reply send channel group context current before after first last "
    "new next one two more most other each any no yes set get list add remove update delete create "
    "config gateway status error result results output input data key id node node_modules response "
    "instructions request requests action task tasks schedule cron heartbeat subagent spawn thread "
    "timeout milliseconds seconds minutes limit max min length mode action safe safety follow need "
    "needed how what where why who into out up down over under about than then them they their there "
    "its was were but so also just like make made work works working keep sure without within through "
    "between same such these those per via etc example e.g. i.e. note see docs directory folder line "
    "lines code json markdown"
).split()
