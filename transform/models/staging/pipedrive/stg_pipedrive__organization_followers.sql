{{ followers_of('organization') }}
