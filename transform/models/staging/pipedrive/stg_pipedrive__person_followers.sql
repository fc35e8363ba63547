{{ followers_of('person') }}
