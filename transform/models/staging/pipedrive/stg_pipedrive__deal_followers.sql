{{ followers_of('deal') }}
